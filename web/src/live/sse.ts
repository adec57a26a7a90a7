/**
 * Splits a text/event-stream into the data of its events. Ids are not read: each
 * message carries its token itself.
 */
export class SseParser {
  #rest = '';
  #data: string[] = [];

  /** Takes the next piece of the stream, wherever it was cut, and returns the events that it completes. */
  push(piece: string): string[] {
    const events: string[] = [];
    // A carriage return at the end may be half a line end: it waits for what follows.
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) events.push(this.#data.join('\n'));
        this.#data = [];
      } else if (line === 'data' || line.startsWith('data:')) {
        this.#data.push(line.slice(5).replace(/^ /, ''));
      }
    }
    return events;
  }
}
