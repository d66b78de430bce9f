#!/usr/bin/env python3
"""Writes reference.json: what transformers' CLIPTokenizer makes of hard prompts.

Run in this folder with transformers 5.23.0 and tokenizers 0.23.3 (no torch needed):
    python3 reference.py > reference.json
"""

import json
import os
import random
import shutil
import tempfile

from transformers import CLIPTokenizer

B, E = "<|startoftext|>", "<|endoftext|>"
BIG = 1000000000000000019884624838656


def token(content, **flags):
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **flags}


def typed(content, **flags):
    return {"__type": "AddedToken", **token(content, **flags)}


# Tokenizers: the vocabulary they take from a folder here, and the files that say the rest.
TOKENIZERS = {
    "clip": ("clip", None),
    "tiny": ("tiny", None),
    "tiny_pad": ("tiny_pad", None),
    "bare": ("tiny", {}),
    "no limit": ("tiny", {"tokenizer_config.json": {"model_max_length": BIG}}),
    # As in the released Stable Diffusion 1.5 and 2.1.
    "sd15": ("tiny", {
        "tokenizer_config.json": {"bos_token": typed(B), "eos_token": typed(E), "unk_token": typed(E), "pad_token": E, "model_max_length": 16},
        "special_tokens_map.json": {"bos_token": token(B), "eos_token": token(E), "unk_token": token(E), "pad_token": E},
    }),
    "sd21": ("tiny", {
        "tokenizer_config.json": {"bos_token": typed(B), "eos_token": typed(E), "unk_token": typed(E), "pad_token": E, "model_max_length": 16},
        "special_tokens_map.json": {"bos_token": token(B), "eos_token": token(E), "unk_token": token(E), "pad_token": "!"},
    }),
    "pad object": ("tiny", {
        "tokenizer_config.json": {"pad_token": E, "model_max_length": 16},
        "special_tokens_map.json": {"pad_token": token("!", normalized=False)},
    }),
    "decoder": ("tiny", {
        "tokenizer_config.json": {
            "pad_token": "!", "model_max_length": 16,
            "added_tokens_decoder": {
                "0": token("!", normalized=False, special=True),
                "1512": token(B, special=True),
                "1513": token(E, normalized=False, special=True),
                "1514": token("<Cat-Toy>"),
                "1515": token("<dog>", single_word=True),
            },
        },
        "special_tokens_map.json": {"pad_token": E},
    }),
    "added": ("tiny", {
        "tokenizer_config.json": {"model_max_length": 16},
        "added_tokens.json": {"<Cat-Toy>": 1514, "<Cat-Toy>s": 1515, "my dog": 1516},
    }),
    "sparse": ("tiny", {"special_tokens_map.json": {"bos_token": {"content": B}, "eos_token": {"content": E}, "unk_token": {"content": E}, "pad_token": {"content": E}}}),
    "other names": ("tiny", {
        "tokenizer_config.json": {"model_max_length": 16, "bos_token": "in", "eos_token": "th</w>", "pad_token": "#", "unk_token": "\""},
    }),
    "variants 1": ("tiny", {"special_tokens_map.json": {"eos_token": token(E), "unk_token": token(E, normalized=False), "pad_token": token(E)}}),
    "variants 2": ("tiny", {"special_tokens_map.json": {"eos_token": token(E, normalized=False), "unk_token": token(E), "pad_token": token(E, normalized=False)}}),
    "variants 3": ("tiny", {"special_tokens_map.json": {"eos_token": E, "unk_token": token(E), "pad_token": E}}),
}

TEXTS = [
    "", " \t\n", "a photo of a cat", "The theatre: nothing, in the end!", "!!! !", "a!b",
    E, f"a {E} b", f"x{E}y{B}z", "<|ENDOFTEXT|>", "<|StartOfText|>!", "!<|endofTEXT|>!", "<|endoftext|", "<|<|endoftext|>|>",
    "a <cat-toy> and a <Cat-Toy>s", "<CAT-TOY><dog>", "a<dog> <dog>s _<dog>_ (<dog>) <dog>", "my dog, My  Dog, mydog", "in th# \"",
    "it's we're I'VE 'sup ''s don't 'LL 'mine rock'n'roll", "2024 3½ ⅷ ²³ 1,000.50", "e\u0301 \u0301 a\u0323\u0302 \u0302\u0323a",
    "İSTANBUL ΟΔΟΣ ẞ ǅ K Å ﬁ", "한국어 각 ㄱ 日本語 ไทย हिन्दी עברית العربية", "\u0344 \u0340 \u0958 \u2126 \u212b \u0f73 \U0001d15e",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 ❤️", "a\u00a0b\u3000c\u2028d\u200be\u0085f\u001cg", "\x00 a\x00b \x7f", "\ufeffbom \ufffd \U0010ffff",
    "z" + "\u0301" * 40, "z" + "\u0301\u0323" * 31 + " q", "\u1100" + "\u1161" * 40 + "\u11a8", "\u09c7" * 35 + "\u09be",
    "https://example.com/?q=a+b&c=%20#x", "snake_case kebab-case CamelCase", "“quotes” ‘single’ … — – ™", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the " * 100, "thinking " * 13, "thinking " * 14, "thinking " * 15,
]


def random_text(r):
    alphabets = [
        lambda: r.choice("abcdefghijklmnopqrstuvwxyz"), lambda: r.choice(" '!.,-<|>0123456789"), lambda: chr(r.randrange(0x250)),
        lambda: chr(r.randrange(0x300, 0x370)), lambda: chr(r.choice([r.randrange(0xd800), r.randrange(0xe000, 0x1f000)])),
        lambda: r.choice(["the ", "in", E, "<|ENDOFTEXT|>", "'s", "\u0301", "\u1100", "\u1161", "\u11a8", "İ", "<dog>", "<cat-toy>"]),
    ]
    chosen = r.sample(alphabets, 2)
    return "".join(r.choice(chosen)() for _ in range(r.randrange(1, 40)))


def assigned(text):
    """Whether a Unicode 14 table knows all of it: newer characters depend on the reader's tables."""
    import unicodedata
    return all(unicodedata.category(c) != "Cn" for c in text)


def main():
    r = random.Random(1)
    texts = TEXTS + [t for t in (random_text(r) for _ in range(100)) if assigned(t)]
    cases = []
    for name, (base, files) in TOKENIZERS.items():
        folder = base
        if files is not None:
            folder = tempfile.mkdtemp()
            for file in ("vocab.json", "merges.txt"):
                shutil.copy(os.path.join(base, file), folder)
            for file, content in files.items():
                with open(os.path.join(folder, file), "w") as f:
                    json.dump(content, f)
        t = CLIPTokenizer.from_pretrained(folder)
        length = t.model_max_length if t.model_max_length < 1e9 else 77

        def case(text, repeat=1):
            ids = t(text * repeat, padding="max_length", max_length=length, truncation=True).input_ids
            cases.append({"tokenizer": name, "text": text, "repeat": repeat, "ids": ids, "count": len(t(text * repeat).input_ids)})

        for text in texts if length < 77 or name == "clip" else TEXTS[:21]:
            case(text)
        if name == "clip":
            case("a", 16384)
            case("ab", 4096)
            case("é!", 2000)
    tokenizers = {name: {"base": base, "files": files} for name, (base, files) in TOKENIZERS.items()}
    print('{"tokenizers": ' + json.dumps(tokenizers) + ',\n"cases": [')
    print(",\n".join(json.dumps(c) for c in cases) + "\n]}")


main()
