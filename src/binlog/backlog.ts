/**
 * How much of a server's binlog lies behind a position: in transactions where its GTIDs tell exactly, in bytes by its files. Asked of the server whole, so that what no tail
 * has read yet counts too.
 */
import type { Connection } from '../mysql/connection.ts'
import { MariadbGtidState, parseMariadbGtid } from './mariadb-gtid.ts'
import { GtidSet } from './gtid-set.ts'
import { endOfBinlog } from './position.ts'
import { parsePosition } from './position-text.ts'
import type { Coordinates } from './source.ts'

/** `gtids`: a set (MySQL) or a state (MariaDB); never beyond `at`. */
export type BinlogEnd = { readonly at: Coordinates; readonly gtids: string }

/** One round trip. @throws binlogOff */
export async function binlogEnd(connection: Connection): Promise<BinlogEnd> {
  if (connection.flavour === 'mysql') {
    const { at, executed } = await endOfBinlog(connection)
    return { at, gtids: executed }
  }
  const [gtids, { at }] = await Promise.all([connection.value('SELECT @@GLOBAL.gtid_binlog_pos'), endOfBinlog(connection)])
  return { at, gtids: gtids ?? '' }
}

/**
 * Transactions in `end` that `position` lacks; null: unknown. MySQL's sets count themselves. MariaDB's numbers do within a domain while one server writes there: what it commits is numbered
 * one by one. After a change of server, in a domain that the position does not know, or where numbers went back, they prove nothing; nor do places in files.
 */
export function transactionsBehind(position: string, end: BinlogEnd): number | null {
  const parts = parsePosition(position)
  if (parts.kind === 'file') return null
  if (parts.kind === 'mysql') return GtidSet.parse(end.gtids).countWithout(parts.executed)
  let count = 0n
  for (const [domain, text] of MariadbGtidState.parse(end.gtids).entries()) {
    const had = parts.state.get(domain)
    if (had === undefined) return null
    const [from, to] = [parseMariadbGtid(had), parseMariadbGtid(text)]
    if (from.server !== to.server || to.sequence < from.sequence) return null
    count += to.sequence - from.sequence
  }
  return Number(count)
}

/**
 * Places in a server's files as one number of bytes that only grows. Files that are complete keep their size, so the server is asked for its list when a new one has begun, not
 * each time: it looks at every file for that.
 */
export class BinlogBytes {
  /** Bytes before each file. */
  #before = new Map<string, number>()
  /** The largest number that is known to be some place. */
  #largest = 0

  knows(file: string): boolean {
    return this.#before.has(file)
  }

  async refresh(connection: Connection): Promise<void> {
    this.take(
      (await connection.allText('SHOW BINARY LOGS')).map((row) => ({ file: row['Log_name'] ?? '', bytes: Number(row['File_size']) })),
    )
  }

  /**
   * All files of the server, in order. Purged ones are gone from the list and stay counted, but for those that came and went between two lists: all that is known of them is that
   * the rest stands behind what was known.
   */
  take(files: readonly { readonly file: string; readonly bytes: number }[]): void {
    let sum = this.#before.get(files[0]?.file ?? '') ?? this.#largest
    const before = new Map<string, number>()
    for (const { file, bytes } of files) {
      before.set(file, sum)
      sum += bytes
    }
    this.#before = before
    this.#largest = Math.max(this.#largest, sum)
  }

  /** Null: a file that is not known, or no more. */
  at({ file, offset }: Coordinates): number | null {
    const before = this.#before.get(file)
    if (before === undefined) return null
    this.#largest = Math.max(this.#largest, before + offset)
    return before + offset
  }
}
