/**
 * What an answer tells of its columns, changed on the way to the client: the definitions alone are looked at, where they stand in the frames, and rows go by as they are. Pure.
 */
import type { Column } from '../mysql/connection.ts'
import { HEADER_BYTES } from '../wire/frames.ts'

/** The catalog, "def", with its length: every column definition begins so. */
const catalogBytes = 4

/** Of one definition's frame, a replacement; null: it stays. Counted from 0. */
export type DefinitionChange = (frames: Buffer, at: number, end: number, number: number) => Buffer | null

/** Whole frames of one answer in, the same with the definitions changed out. */
export class ChangedDefinitions {
  readonly #change: DefinitionChange
  /** -1: how many is not known yet. */
  #count = -1
  #seen = 0

  constructor(change: DefinitionChange) {
    this.#change = change
  }

  rewrite(frames: Buffer): Buffer {
    if (this.#seen === this.#count) return frames
    const made = new Spliced(frames)
    for (let at = 0; at < frames.length && this.#seen !== this.#count;) {
      const end = frameEnd(frames, at)
      if (this.#count < 0) this.#count = columnCount(frames, at + HEADER_BYTES, end)
      else made.replace(at, end, this.#change(frames, at, end, this.#seen++))
      at = end
    }
    return made.taken()
  }
}

/** The same of the answer to a PREPARE: of its parameters (from -their number to -1), and its columns (from 0). */
export function changedPrepared(answer: Buffer, change: DefinitionChange): Buffer {
  const made = new Spliced(answer)
  const first = frameEnd(answer, 0)
  // 0x00 · 4 id · 2 columns · 2 parameters
  let number = first < HEADER_BYTES + 9 ? 0 : -answer.readUInt16LE(HEADER_BYTES + 7)
  for (let at = first; at < answer.length;) {
    const end = frameEnd(answer, at)
    // Between them an EOF may stand.
    if (answer[at + HEADER_BYTES] === catalogBytes - 1) made.replace(at, end, change(answer, at, end, number++))
    at = end
  }
  return made.taken()
}

class Spliced {
  readonly #frames: Buffer
  readonly #parts: Buffer[] = []
  #copied = 0

  constructor(frames: Buffer) {
    this.#frames = frames
  }

  replace(at: number, end: number, by: Buffer | null): void {
    if (by === null) return
    if (at > this.#copied) this.#parts.push(this.#frames.subarray(this.#copied, at))
    this.#parts.push(by)
    this.#copied = end
  }

  taken(): Buffer {
    return this.#copied === 0 ? this.#frames : Buffer.concat([...this.#parts, this.#frames.subarray(this.#copied)])
  }
}

function frameEnd(frames: Buffer, at: number): number {
  return at + HEADER_BYTES + frames.readUIntLE(at, 3)
}

/** 0: no rows come. */
function columnCount(data: Buffer, start: number, end: number): number {
  const first = start < end ? (data[start] as number) : 0
  if (first < 0xfb) return first
  return first === 0xfc && end - start >= 3 ? data.readUInt16LE(start + 1) : 0
}

/** The schema, where it is `from`, becomes `to`. */
export function renamedSchema({ from, to }: { readonly from: Buffer; readonly to: Buffer }): DefinitionChange {
  return (frames, at, end) => {
    const schema = at + HEADER_BYTES + catalogBytes
    if (frames[schema] !== from.length || frames.compare(from, 0, from.length, schema + 1, schema + 1 + from.length) !== 0) return null
    // Of every answer of a shard whose schema has another name: nothing is made but the definition itself.
    const made = Buffer.allocUnsafe(end - at - from.length + to.length)
    frames.copy(made, 0, at, schema)
    made.writeUIntLE(made.length - HEADER_BYTES, 0, 3)
    made[schema - at] = to.length
    to.copy(made, schema - at + 1)
    frames.copy(made, schema - at + 1 + to.length, schema + 1 + from.length, end)
    return made
  }
}

/** Where a column is from: what it and its table are called there. */
export type Origin = Pick<Column, 'schema' | 'orgTable' | 'orgName'>

/**
 * Each column of information_schema is said to be from where it is said here; those of the client's own tables beside it stay, as their schemas may be called otherwise than clients do, and one that
 * has other letters than those of ASCII in it (its character set is the session's).
 */
export function fromOrigins(origins: readonly Origin[]): DefinitionChange {
  return (frames, at, end, number) => {
    const origin = origins[number]
    if (origin === undefined || !/^information_schema$/i.test(origin.schema) || /[^ -~]/.test(origin.orgTable + origin.orgName)) return null
    return withNames(frames, at, end, () => [origin.schema, null, origin.orgTable, null, origin.orgName])
  }
}

/** A column of a table of no schema is information_schema's. */
export const ofInformationSchema: DefinitionChange = (frames, at, end) =>
  withNames(frames, at, end, (schema, table) => (schema === '' && table !== '' ? ['information_schema', null, null, null, null] : null))

/** @param change new ones for schema, table, its original name, the column's, its original name (null: as it is); or null where nothing changes */
function withNames(
  frames: Buffer,
  at: number,
  end: number,
  change: (schema: string, table: string) => readonly (string | null)[] | null,
): Buffer | null {
  const names: Buffer[] = []
  let next = at + HEADER_BYTES + catalogBytes
  for (let i = 0; i < 5; i++) {
    const length = frames[next] as number
    // Its length would stand in several bytes.
    if (length >= 0xfb) return null
    names.push(frames.subarray(next, next + 1 + length))
    next += 1 + length
  }
  const [schema, table] = names.map((name) => name.toString('utf8', 1)) as [string, string]
  const changed = change(schema, table)
  if (changed === null) return null
  const made = Buffer.concat([
    frames.subarray(at, at + HEADER_BYTES + catalogBytes),
    ...names.map((name, i) =>
      changed[i] == null ? name : Buffer.from(`${String.fromCharCode(changed[i].length)}${changed[i]}`, 'latin1'),
    ),
    frames.subarray(next, end),
  ])
  made.writeUIntLE(made.length - HEADER_BYTES, 0, 3)
  return made
}
