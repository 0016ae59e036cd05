/**
 * What table ids mean: in the current statement, and, so that a decoder is compiled once and not for each statement, what each id meant
 * last. A table map is the known one only if all its bytes are the same.
 */
import { Buffer } from 'node:buffer'
import { decodedTable, type DecodedTable } from './decoded-table.ts'
import { binlogErrors } from './errors.ts'
import type { TableChooser, TailTable } from './source.ts'
import { parseTableMap, tableIdOf } from './table-map.ts'

/** Null: skipped. A table without decoders: only named. */
type Wanted = DecodedTable | TailTable | null
type KnownTable = { readonly body: Buffer; readonly wanted: Wanted; readonly rollsBack: boolean }

/** More than a server has open tables is not worth keeping. */
const knownTablesMax = 4096

export class TableCache {
  readonly #choose: TableChooser
  readonly #needDefinition: boolean
  #current = new Map<number, KnownTable>()
  #known = new Map<number, KnownTable>()

  constructor(choose: TableChooser, needDefinition: boolean) {
    this.#choose = choose
    this.#needDefinition = needDefinition
  }

  /** Takes a table map event's body. */
  map(body: Buffer): void {
    const tableId = tableIdOf(body)
    let known = this.#known.get(tableId)
    if (known === undefined || !known.body.equals(body)) {
      const map = parseTableMap(body)
      const choice = this.#choose(map.schema, map.name)
      known = {
        body: Buffer.from(body),
        rollsBack: choice.kind === 'skip' || choice.rollsBack !== false,
        wanted:
          choice.kind === 'skip'
            ? null
            : choice.kind === 'name'
              ? { schema: map.schema, name: map.name, columns: [] }
              : decodedTable(map, choice.columns, this.#needDefinition),
      }
      if (this.#known.size >= knownTablesMax) this.#known.clear()
      this.#known.set(tableId, known)
    }
    this.#current.set(tableId, known)
  }

  /** Whether the statement at hand has mapped it. */
  has(tableId: number): boolean {
    return this.#current.has(tableId)
  }

  /** @throws unknownTableId */
  wanted(tableId: number): Wanted {
    const table = this.#current.get(tableId)
    if (table === undefined) throw binlogErrors.unknownTableId({ tableId })
    return table.wanted
  }

  rollsBack(tableId: number): boolean {
    return this.#current.get(tableId)?.rollsBack !== false
  }

  endStatement(): void {
    this.#current.clear()
  }

  /** After DDL: asks the chooser again for every table. */
  forget(): void {
    this.#current.clear()
    this.#known.clear()
  }
}
