// A mail's HTML is somebody else's. It is shown in a frame without scripts, and
// with a policy of its own: no requests to anywhere, and links open outside.
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const head = `<meta http-equiv="Content-Security-Policy" content="${policy}"><base target="_blank">`;

/** The document of a frame that shows a mail: the policy stands before anything of the mail's own. */
export function sandboxed(html: string): string {
  return `<!doctype html>${head}${html.replace(/^\s*<!doctype[^>]*>/i, '')}`;
}
