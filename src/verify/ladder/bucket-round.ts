/**
 * What a quick look compares beside the newest buckets: a run of the older ones, further back each time and then from the newest again, so that a row
 * that is wrong in any bucket is seen within one round. A look that was not finished is taken again: the place moves when its run was compared.
 */
export class BucketRound {
  readonly #most: number
  /** By table: the oldest bucket that was compared last. */
  readonly #at = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** The next run of `older`, which ascends; buckets may have come and gone since the last. */
  next(table: string, older: readonly number[]): number[] {
    const at = this.#at.get(table) ?? Infinity
    const before = older.findLastIndex((bucketMs) => bucketMs < at) + 1
    const end = before === 0 ? older.length : before
    return older.slice(Math.max(0, end - this.#most), end)
  }

  compared(table: string, run: readonly number[]): void {
    const oldest = run[0]
    if (oldest !== undefined) this.#at.set(table, oldest)
  }
}
