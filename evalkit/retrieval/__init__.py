"""Retrieval: passages of a folder of documents, put before the question that they fit.

    documents.py   the files of a folder, what they are by content, and their passages
    library.py     the passages as an index by BM25, made once and kept
    context.py     what is put before a question: the fenced passages in their template

What is retrieved depends on the question and the documents alone, never on the checkpoint.
"""

from evalkit.retrieval.context import PLACE, TEMPLATE, Context
from evalkit.retrieval.documents import described

__all__ = ["PLACE", "TEMPLATE", "Context", "described"]
