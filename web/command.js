// web/command.js -- the shell commands that do what a form does; they never hold a token.

// One word of a POSIX shell, quoted where it has to be.
export function shellWord(text) {
  return /^[\w%+,./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

// curl that submits the report; the token is in the shell's variable TOKEN.
export function curlLine(name, values) {
  const body = JSON.stringify({ reportName: name, parameters: values });

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
