/** The bytes of a message, which the API gives in base64. */
export function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** Bytes as a person can read them: as text, and in hexadecimal where they are none. */
export function readable(bytes: Uint8Array): { text: string; hex: boolean } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    // Control characters other than tab and line ends would not show.
    if (!/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(text)) return { text, hex: false };
  } catch {
    // it is no UTF-8
  }
  return { text: hexDump(bytes), hex: true };
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.slice(at, at + 16)];
    const hex = row.map((b) => b.toString(16).padStart(2, '0')).join(' ');
    const words = row.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${words}`);
  }
  return lines.join('\n');
}

/** A line of JSON, and where in the value it stands: a JSON pointer. */
export interface JsonLine {
  text: string;
  pointer: string;
}

/** A value as lines of indented JSON, as JSON.stringify writes them. */
export function jsonLines(value: unknown): JsonLine[] {
  const lines: JsonLine[] = [];
  write(value, '', '', '', lines);
  return lines;
}

function write(value: unknown, pointer: string, indent: string, name: string, lines: JsonLine[], comma = ''): void {
  const entries: [string, unknown][] | undefined = Array.isArray(value)
    ? value.map((v, i) => [String(i), v])
    : typeof value === 'object' && value !== null
      ? Object.entries(value)
      : undefined;
  if (!entries || entries.length === 0) {
    lines.push({ text: `${indent}${name}${JSON.stringify(value)}${comma}`, pointer });
    return;
  }
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  lines.push({ text: `${indent}${name}${open}`, pointer });
  entries.forEach(([key, v], i) => {
    const child = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    write(v, child, `${indent}  `, Array.isArray(value) ? '' : `${JSON.stringify(key)}: `, lines, i < entries.length - 1 ? ',' : '');
  });
  lines.push({ text: `${indent}${close}${comma}`, pointer: '' });
}

/** What is wrong at each line: at the place that a pointer names, or at the nearest one around it that is there. */
export function marks(lines: readonly JsonLine[], problems: readonly { pointer: string; detail: string }[]): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const { pointer, detail } of problems) {
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      const i = lines.findIndex((l) => l.pointer === at);
      if (i >= 0) {
        found.set(i, [...(found.get(i) ?? []), detail]);
        break;
      }
    }
  }
  return found;
}
