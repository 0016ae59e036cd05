/**
 * The answers to several statements of one command, made one: every packet but those of the last says that more results follow, and their numbers go on from
 * answer to answer. What is written is whole frames, each statement's numbered from 1.
 */
import { AnswerScanner, part } from '../wire/answer.ts'
import { serverStatus } from '../wire/capabilities.ts'
import { HEADER_BYTES } from '../wire/frames.ts'

export class SeveralAnswers {
  #scanner = new AnswerScanner(false)
  #before = 0
  #last = 0
  #isLast = false
  /** The statement that was answered last was answered by an error: nothing follows. */
  failed = false

  /** The next statement's answer begins. */
  next(isLast: boolean): void {
    this.#scanner = new AnswerScanner(false)
    this.#before = this.#last
    this.#isLast = isLast
  }

  rewrite(given: Buffer): Buffer {
    // A copy: answers may be shared, and what a server sent lies in a buffer that is read into again.
    const frames = Buffer.from(given)
    for (let at = 0; at < frames.length;) {
      const start = at + HEADER_BYTES
      const end = start + frames.readUIntLE(at, 3)
      this.#last = ((frames[at + 3] as number) + this.#before) & 0xff
      frames[at + 3] = this.#last
      const kind = this.#scanner.scanFrame(frames, start, end)
      if (kind === part.error) this.failed = true
      const status = statusAt(frames, start, kind)
      if (status !== null && !this.#isLast) frames.writeUInt16LE(frames.readUInt16LE(status) | serverStatus.moreResultsExist, status)
      at = end
    }
    return frames
  }
}

/** Where a packet has the status flags; null: it has none. */
function statusAt(data: Buffer, start: number, kind: number): number | null {
  if (kind === part.columnsEnd || kind === part.rowsEnd) return start + 3
  if (kind !== part.ok) return null
  let at = start + 1
  for (let i = 0; i < 2; i++) {
    const first = data[at] as number
    at += first < 0xfb ? 1 : first === 0xfc ? 3 : first === 0xfd ? 4 : 9
  }
  return at
}
