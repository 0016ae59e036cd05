import { assert } from './assert.ts'

/**
 * A first-in first-out queue bounded in bytes, for one consumer. `push` waits while the queue holds `bytesMax` or more;
 * one item larger than the bound is let in alone, so nothing is ever too large to pass. `fail` and `end` reach the
 * consumer after what was pushed before `end`, and at once for `fail`.
 */
export class ByteQueue<T> {
  readonly bytesMax: number
  #items: { value: T; bytes: number }[] = []
  #head = 0
  #bytes = 0
  #ended = false
  #error: unknown
  #failed = false
  #wakeConsumer: (() => void) | null = null
  #waitingProducers: (() => void)[] = []

  constructor(bytesMax: number) {
    assert(bytesMax > 0, 'a byte queue needs a positive bound')
    this.bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  async push(value: T, bytes: number): Promise<void> {
    while (!this.#failed && !this.#ended && this.#bytes > 0 && this.#bytes + bytes > this.bytesMax) {
      await new Promise<void>((resolve) => this.#waitingProducers.push(resolve))
    }
    if (this.#failed) throw this.#error
    if (this.#ended) return
    this.#items.push({ value, bytes })
    this.#bytes += bytes
    this.#wake()
  }

  /** Next item, or `undefined` after `end`. Throws what `fail` was given. */
  async shift(): Promise<T | undefined> {
    for (;;) {
      if (this.#failed) throw this.#error
      const item = this.#take()
      if (item !== undefined) return item.value
      if (this.#ended) return undefined
      assert(this.#wakeConsumer === null, 'a byte queue has one consumer')
      await new Promise<void>((resolve) => {
        this.#wakeConsumer = resolve
      })
    }
  }

  /** Next item if one is there already. */
  tryShift(): T | undefined {
    if (this.#failed) throw this.#error
    return this.#take()?.value
  }

  end(): void {
    this.#ended = true
    this.#wake()
    this.#release()
  }

  fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#error = error
    this.#wake()
    this.#release()
  }

  #take(): { value: T; bytes: number } | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    this.#bytes -= item.bytes
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head)
      this.#head = 0
    }
    this.#release()
    return item
  }

  #wake(): void {
    const wake = this.#wakeConsumer
    this.#wakeConsumer = null
    wake?.()
  }

  #release(): void {
    const waiting = this.#waitingProducers
    this.#waitingProducers = []
    for (const resolve of waiting) resolve()
  }
}
