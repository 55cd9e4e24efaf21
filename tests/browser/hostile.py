"""Texts that do harm to a page which takes data for markup, script, style or an address.

Each that could run sets window.hostile, which no test may find."""

RUN = "window.hostile=1"
SCRIPTS = [
    f"<script>{RUN}</script>", f"<script src=data:text/javascript,{RUN}></script>", f"<img src=x onerror={RUN}>", f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>", "<iframe srcdoc='<script>parent.hostile=1</script>'></iframe>", f"<iframe src=javascript:parent.{RUN}>",
    f"<body onload={RUN}>", f"<input autofocus onfocus={RUN}>", f"<details open ontoggle={RUN}>", f"<video><source onerror={RUN}></video>",
    f"<marquee onstart={RUN}>", f"<a href=javascript:{RUN}>click</a>", f"<form action=javascript:{RUN}><button>x</button></form>",
    f"<math><mtext><img src onerror={RUN}></mtext></math>", f"<template><script>{RUN}</script></template>", "<style>*{display:none!important}</style>",
    "<link rel=stylesheet href=//evil.invalid/x.css>", "<meta http-equiv=refresh content='0;url=//evil.invalid/'>", "<base href=//evil.invalid/>",
    f"<object data=javascript:{RUN}>", f"<embed src=javascript:{RUN}>", f"<x style=animation-name:turn onanimationstart={RUN}>",
    f"<dialog open onclose={RUN}>", f"<button popovertarget=p onclick={RUN}>", f"javascript:{RUN}", f"data:text/html,<script>{RUN}</script>",
]
# What a value may break out of first.
BEFORE = ["{}", '">{}', "'>{}", "</td></table>{}", "</textarea>{}", "</title>{}", "--><!-- {}", "`${{{}}}`"]
PLAIN = [
    "__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined", "NaN", "[object Object]", "true", "0", "-0", "1e999", "",
    " ", "\t", "\n", "\r\n", "a\nb", "\u0000".replace("\u0000", "\u0001"), "\u0001\u0002\u001f", "\u007f", "\u0085", "\u00a0", "\u00ad", "\u200b", "\u200d", "\u2028", "\u2029", "\ufeff",
    "\u202eabc", "\u2066abc", "\U0001f469\u200d\U0001f4bb", "e\u0301", "Z" + "\u0300" * 60, "\ufffd", "\uffff", "\U0010ffff", "𝒳", "漢字", "عربى", "&lt;b&gt;", "&#60;b&#62;",
    "&amp;amp;", "%3Cscript%3E", "\\u003cscript\\u003e", "\\", '"', "'", "`", "$&", "$1", "${1}", "{{1+1}}", "<%= 1 %>", "#{1}", "]]>", "<!--", "-->", "<![CDATA[x]]>",
    "';alert(1)//", '";alert(1)//', "1; DROP TABLE report; --", "' OR '1'='1", "=1+1", "+1", "-1", "@SUM(1)", "=cmd|' /C calc'!A0", "../../etc/passwd",
    "..\\..\\x", "C:\\x", "a/b", "a?b=c&d=e#f", "#/mine", "//evil.invalid/", "http://evil.invalid/", "\r\nSet-Cookie: x=1", "x\r\n\r\n<script>", "A" * 5000,
    "W" * 300, "a " * 2000, '{"a":1}', "[1,2]", '{"result":true,"data":{"results":[]}}', '],"summary":{"forged":1}}}', ',"results":[', '"results":[',
]
VALUES = list(dict.fromkeys([before.format(script) for before in BEFORE for script in SCRIPTS] + PLAIN))

assert len(VALUES) >= 200
