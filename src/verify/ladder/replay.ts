/** Reads that clients really made, replayed through a gate on one branch or the other. */
import { connect } from '../../mysql/connect.ts'
import type { Connection } from '../../mysql/connection.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import { Lexer } from '../../sql/lexer.ts'
import { branchKeyspace } from '../../topology/dualwrite-records.ts'
import type { ReadSamples } from '../../topology/dualwrite-records.ts'
import { keys } from '../../topology/keys.ts'
import { listRecords } from '../../topology/typed.ts'
import type { GateAccess, LadderWorld } from './world.ts'

export type Sample = ReadSamples['samples'][number]

/** The newest `most`, of all gates; the same text once. Those that cannot be replayed are counted. */
export async function readSamples(world: LadderWorld): Promise<{ samples: Sample[]; skipped: number }> {
  const records = await listRecords<ReadSamples>(world.store, keys.readSamplesOf(world.old.keyspace))
  const all = records.flatMap((record) => record.value.samples).sort((a, b) => b.atMs - a.atMs)
  const seen = new Set<string>()
  const samples: Sample[] = []
  let skipped = 0
  for (const sample of all) {
    if (seen.has(sample.sql)) continue
    seen.add(sample.sql)
    if (replayable(sample.sql, world.old.keyspace)) samples.push(sample)
    else skipped++
    if (samples.length >= world.options.readsMax) break
  }
  return { samples, skipped }
}

/** Only plain reads; nothing that locks, that names the keyspace itself (it would leave the branch), or whose answer is the clock's. */
export function replayable(sql: string, keyspace: string): boolean {
  if (!/^\s*(select|with)\b/i.test(sql)) return false
  if (/\b(for\s+(update|share)|lock\s+in\s+share\s+mode|into\s+(outfile|dumpfile)|get_lock|sleep|benchmark)\b/i.test(sql)) return false
  if (
    /\b(now|current_timestamp|sysdate|rand|uuid|connection_id|last_insert_id|unix_timestamp\s*\(\s*\)|curdate|curtime|utc_timestamp)\b/i.test(
      sql,
    )
  )
    return false
  const name = keyspace.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return !new RegExp(`(^|[\\s,(\`])${name}\`?\\s*\\.`, 'i').test(sql)
}

/** A client's session at a gate that reads one branch only, whatever the read rule says. */
export async function branchSession(gate: GateAccess, keyspace: string, branch: string, signal: AbortSignal): Promise<Connection> {
  const connection = await connect({ host: gate.host, port: gate.port, user: gate.user, password: gate.password }, signal)
  const name = branch === 'main' ? `${keyspace}@main` : branchKeyspace(keyspace, branch)
  try {
    await connection.query(`USE ${quoteIdentifier(name)}`)
  } catch (error) {
    connection.destroy()
    throw error
  }
  return connection
}

export type Answer =
  | { readonly ok: true; readonly text: string; readonly rows: number; readonly ms: number }
  | { readonly ok: false; readonly text: string; readonly ms: number }

/** The answer as comparable text. Without ORDER BY rows have no order: they are compared as a set. */
export async function ask(connection: Connection, sql: string, nowMs: () => number): Promise<Answer> {
  const sinceMs = nowMs()
  try {
    const result = await connection.query(sql)
    const ms = nowMs() - sinceMs
    if (result.kind !== 'rows') return { ok: false, text: 'no result set', ms }
    const rows = result.rows.map((row) => row.map((cell) => (cell === null ? 'N' : `${cell.length}:${cell.toString('latin1')}`)).join(','))
    if (!/\border\s+by\b/i.test(sql)) rows.sort()
    return { ok: true, text: rows.join('\n'), rows: rows.length, ms }
  } catch (error) {
    return { ok: false, text: error instanceof Error ? error.message : String(error), ms: nowMs() - sinceMs }
  }
}

/** The statement with its literals taken out: what makes two queries one shape. */
export function shapeOf(sql: string): string {
  try {
    const { key } = new Lexer().lex(Buffer.from(sql))
    // The lexer marks each literal by a control byte.
    // oxlint-disable-next-line no-control-regex
    return key.replace(/[\u0000-\u001f]/g, '?').trim()
  } catch {
    return sql
      .replace(/'(?:[^'\\]|\\.|'')*'/g, '?')
      .replace(/\b\d+(?:\.\d+)?\b/g, '?')
      .replace(/\s+/g, ' ')
      .trim()
  }
}
