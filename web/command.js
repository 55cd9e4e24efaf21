// web/command.js -- shell commands that do what a form does; they never contain a token.

// Invisible characters that control a terminal or the order of the text: `write` returns what
// replaces one. `more` are others to be replaced.
function written(text, write, more = "") {
  return text.replace(new RegExp(`[${more}\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]`, "gu"), write);
}

function octal(character) {
  return [...new TextEncoder().encode(character)]
    .map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}

function jsonEscape(character) {
  return character.split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

// One word of a shell, quoted if necessary. Invisible characters are written in octal, byte by
// byte: every shell that supports $'…' reads them, in every locale.
export function shellWord(text) {
  if (written(text, () => "") !== text) return `$'${written(text, octal, "\\\\'!")}'`;
  return /^[\w%+,./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// curl that submits the report; the token is in the shell's variable TOKEN.
export function curlLine(name, values) {
  const body = written(JSON.stringify({ reportName: name, parameters: values }), jsonEscape);

  return [`curl -X POST ${shellWord(`${location.origin}/Report`)}`,
    `-H 'Version: 2.0'`, `-H "Authorization: $TOKEN"`, "-H 'Content-Type: application/json'",
    `-d ${shellWord(body)}`].join(" \\\n  ");
}

// reportctl that runs it and keeps the result.
export function reportctlLine(name, values) {
  const words = Object.entries(values).map(([key, value]) => shellWord(`${key}=${value}`));

  return [`reportctl run --server ${shellWord(location.origin)}`, `-o ${shellWord(`${name}.json`)}`,
    shellWord(name), ...words].join(" \\\n  ");
}
