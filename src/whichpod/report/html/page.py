"""The page that all HTML reports are: one file, light or dark as the reader has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from whichpod.report.junit import clean
from whichpod.version import __version__

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5b6675;--line:#dfe3e8;
--grid:#e9ecf0;
--ok:#1a7f4b;--bad:#c9302c;--warn:#a86400;--info:#2563a8;--off:#7a8594;--link:#1f5fa8;
--c0:#2f6db5;--c1:#4a9bd1;--c2:#2a8f8f;--c3:#7bb8c9;--c4:#5a67b8;--c5:#8f9fd6;--c6:#3f8f6f;--c7:#86c5a5;
--w0:#e8912d;--w1:#f2b84b;--w2:#c9742b;--w3:#f5cf80;--w4:#b58a2a;--w5:#e0a673;--w6:#d9b13b;--w7:#a8672f;
--untold:#aab3bf;--failed:#d4362f}
@media (prefers-color-scheme:dark){:root{--bg:#11151a;--card:#191f27;--ink:#e4e9ef;--soft:#98a4b3;
--line:#2b343f;
--grid:#242c36;--ok:#4cc38a;--bad:#ff6b61;--warn:#f0b04e;--info:#6cb0f5;--off:#8793a2;--link:#7db8f7;
--c0:#4f8fdc;--c1:#6fbbe8;--c2:#3fb0ae;--c3:#9ad3e0;--c4:#7f8be0;--c5:#aab8ec;--c6:#55b08c;--c7:#a0dcbf;
--untold:#5d6875;--failed:#ff5a50}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",sans-serif}
main{max-width:1280px;margin:0 auto;padding:28px 24px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:20px;margin:44px 0 4px;scroll-margin-top:12px}
h3{font-size:15px;margin:0}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
p{margin:6px 0;max-width:80ch}.soft{color:var(--soft)}.small{font-size:13px}
.num{font-variant-numeric:tabular-nums}
.counts{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0}
.pill{display:inline-block;border-radius:999px;padding:1px 9px;font-size:12px;font-weight:600;
white-space:nowrap;
border:1px solid currentColor}
.passed{color:var(--ok)}.failed{color:var(--bad)}.inconclusive{color:var(--warn)}
.measured{color:var(--info)}
.skipped{color:var(--off)}
.scroll{overflow-x:auto;margin:12px 0}
table{border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:8px;
font-size:13.5px}
th,td{padding:6px 12px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:12.5px}td:first-child{min-width:150px}
tr:last-child td,tr:last-child th{border-bottom:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr));gap:16px;
margin-top:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;
scroll-margin-top:12px;
min-width:0}
.card:target{outline:2px solid var(--link)}
.top{display:flex;justify-content:space-between;gap:12px;align-items:baseline;margin-bottom:8px}
svg{display:block;width:100%;height:auto}
svg text{font:10.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:3px 12px;font-size:12px;color:var(--soft);margin:6px 0}
.chip{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px;vertical-align:-1px}
ol.steps{margin:8px 0 4px;padding-left:22px;font-size:13px}ol.steps li{margin:1px 0}
ul.found{list-style:none;margin:8px 0;padding:0;font-size:13px}ul.found li{margin:2px 0}
.sign{font-weight:700;margin-right:6px}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 14px;font-size:13px;margin:8px 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
details>summary{cursor:pointer;color:var(--soft);font-size:13px;margin-top:6px}
footer{margin-top:48px;color:var(--soft);font-size:12.5px}
@media print{body{background:#fff}.card,table{break-inside:avoid}}
"""
SIGNS = {"passed": "✓", "failed": "✗", "inconclusive": "?", "measured": "•", "skipped": "–"}


def page(title: str, body: Iterable[str]) -> str:
    """A whole document."""
    text = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            *body,
            f"<footer>whichpod {escape(__version__)}</footer>",
            "</main></body></html>",
            "",
        ]
    )
    return clean(text)


def pill(outcome: str, text: str, href: str = "", title: str = "") -> str:
    """An outcome in a word or two, in its colour; a link where it has somewhere to go."""
    tip = f' title="{escape(title)}"' if title else ""
    inside = f'class="pill {outcome}"{tip}>{escape(text)}'
    return f'<a href="{escape(href)}" {inside}</a>' if href else f"<span {inside}</span>"


def sign(outcome: str) -> str:
    """A mark that tells an outcome without colour."""
    return f'<span class="sign {outcome}">{SIGNS.get(outcome, "•")}</span>'


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the head is text, the cells are HTML."""
    heads = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def environment(found: Mapping[str, str]) -> str:
    """What it ran on, folded away."""
    items = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in found.items())
    return f"<details><summary>What it ran on</summary><dl>{items}</dl></details>"


def slug(name: str) -> str:
    """A name as the target of a link."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
