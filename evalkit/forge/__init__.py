"""GitHub and GitLab, from inside of a CI job: by their REST APIs and the standard library alone."""
