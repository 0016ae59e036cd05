/**
 * Server-sent events, text in pieces → payloads (https://html.spec.whatwg.org/multipage/server-sent-events.html). Only `data` lines
 * matter here. The newest event is all that counts, so a caller that fell behind can drop the older ones.
 */
export class FeedParser {
  #rest = ''
  #data: string[] = []

  /** The payloads of the events that this piece completed, in order. */
  push(piece: string): string[] {
    const payloads: string[] = []
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length > 0) payloads.push(this.#data.join('\n'))
        this.#data = []
      } else if (line.startsWith('data:')) this.#data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
    }
    return payloads
  }
}
