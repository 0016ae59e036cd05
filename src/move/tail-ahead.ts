/**
 * The tail of a stream that begins, opened as soon as the position is known from which it will be read: a server looks through its binlog file for that place (0.1 s and more for a file of some hundred
 * megabytes), and does so while transactions open at the position are waited for, tables are looked at and the right to write is taken.
 *
 * Nothing of it is looked at before `take`: what follows a position is the same whenever the server is asked for it, and it is decoded by the tables that are known then. Where another position has
 * come of it meanwhile (somebody else began), it is closed at once, and opened there: a source purges no binlog that a session is sent, so a tail that nobody reads would fill its disk.
 */
import { assert } from '../base/assert.ts'
import type { Position, TableChooser, Tail } from '../binlog/source.ts'

export class TailAhead implements AsyncDisposable {
  readonly #open: (position: Position, table: TableChooser) => Promise<Tail>
  #choose: TableChooser | null = null
  #opening: { readonly position: Position; readonly tail: Promise<Tail> } | null = null

  constructor(open: (position: Position, table: TableChooser) => Promise<Tail>) {
    this.#open = open
  }

  /** A failure is told by `take`. */
  begin(position: Position): void {
    void this.#close()
    const tail = this.#at(position)
    tail.catch(() => undefined)
    this.#opening = { position, tail }
  }

  /** The tail from this position on, which is the caller's to close. */
  async take(position: Position, table: TableChooser): Promise<Tail> {
    this.#choose = table
    if (this.#opening?.position === position) {
      const { tail } = this.#opening
      this.#opening = null
      return tail
    }
    void this.#close()
    return this.#at(position)
  }

  #at(position: Position): Promise<Tail> {
    return this.#open(position, (schema, name) => {
      assert(this.#choose !== null, 'a tail is read when its tables are known')
      return this.#choose(schema, name)
    })
  }

  /** Closes what nobody took. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  /** Never rejects: nobody reads it, however it ends. */
  async #close(): Promise<void> {
    const tail = this.#opening?.tail
    this.#opening = null
    await tail?.then((opened) => opened.close()).catch(() => undefined)
  }
}
