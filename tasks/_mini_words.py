"""The words that the miniature world is made of: twelve kinds of twelve things, and people."""

from __future__ import annotations

KINDS: dict[str, tuple[str, ...]] = {
    kind: tuple(words.split())
    for kind, words in {
        "animal": "horse cow dog cat sheep goat pig mouse lion tiger bear wolf",
        "fruit": "apple pear plum grape lemon lime mango melon peach cherry banana fig",
        "tool": "hammer saw drill wrench pliers chisel axe spade rake ladder nail rope",
        "colour": "red blue green yellow black white brown pink purple orange grey gold",
        "drink": "water milk tea coffee juice wine beer soda cocoa cider rum punch",
        "country": "france spain italy china japan india peru chile kenya egypt norway cuba",
        "job": "baker nurse pilot farmer judge tailor miner singer teacher clerk cook guard",
        "sport": "tennis golf rugby hockey chess judo boxing rowing polo darts cricket soccer",
        "metal": "iron copper silver tin zinc lead nickel steel brass bronze cobalt chrome",
        "weather": "rain snow hail fog wind storm sun frost cloud thunder mist sleet",
        "clothing": "shirt coat hat shoe sock glove scarf belt dress skirt boot vest",
        "furniture": "table chair bed desk shelf sofa bench stool lamp couch drawer cupboard",
    }.items()
}

WORDS: tuple[str, ...] = tuple(word for words in KINDS.values() for word in words)

_NAMES = """anna ben clara david emma felix grace henry iris jack kate leo
            mary noah olga paul quinn rosa sam tina uma victor wendy zoe"""

NAMES: tuple[str, ...] = tuple(_NAMES.split())
