/** Rules of PROTOCOLS 1.6 that the model of merges can do without, one by one. */
export type MergeRules = {
  /** Which rows a round deletes of its keys: those whose shard key is in any image of the key in the round; only in the first or the last; or by key alone. */
  deletes: 'any image' | 'first image' | 'last image' | 'key alone'
  /** Rows are inserted plainly, and 1062 means that another stream's row stands there; or they replace what stands. */
  inserts: 'plain' | 'replace'
  /** What landing does with rows that the tail left untouched since the low marker. */
  landing: 'plain, own rows left out' | 'plain' | 'replace' | 'ignore'
  /** After 1062 a round goes up to a fresh marker; without: to its intent again. */
  longer: boolean
  /** A round stores where it goes, is taken again at least that far, and chunks land past it only. */
  intent: boolean
  /**
   * A round in one lane is one transaction with its position. After 1062 it is taken again in steps, so that its deletes stay
   * though its inserts collide; without: as one transaction each time.
   */
  stepsAfterCollision: boolean
  /**
   * Unique keys that waited for the rows (PROTOCOLS 1.12), when two rows of one value stand against them: built again when all streams have passed markers committed
   * since; given up; or the rows that stand in the way removed, as ALTER IGNORE did.
   */
  rebuild: 'repeated' | 'once' | 'rows removed'
  /** Whether the table's unique key waits for the rows in each run, or in some. */
  keysWait: 'some' | 'each'
  /** The application keeps unique values unique across sources. Without, two rows may collide for good: that must end in waiting, both rows kept. */
  uniqueAcross: boolean
}

export const mergeRules: MergeRules = {
  deletes: 'any image',
  inserts: 'plain',
  landing: 'plain, own rows left out',
  longer: true,
  intent: true,
  stepsAfterCollision: true,
  rebuild: 'repeated',
  keysWait: 'some',
  uniqueAcross: true,
}
