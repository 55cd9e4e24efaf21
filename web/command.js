// web/command.js -- the shell commands that do what a form does; they never hold a token.

// Characters that are not seen, but steer a terminal or the order of the text: `write` gives what
// stands for one. `more` are others to be written so.
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

// One word of a shell, quoted where it has to be. What is not seen is in octal, byte by byte: every
// shell that knows $'…' reads it, in every locale.
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
