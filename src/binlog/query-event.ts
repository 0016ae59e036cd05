/**
 * QUERY_EVENT: thread (4) seconds (4) schema length (1) error (2) status length (2) | status | schema 0 | statement.
 * EXECUTE_LOAD_QUERY_EVENT has file id, bounds and duplicate handling (13) after the lengths.
 */
import type { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import { unpackMariadb } from './mariadb-compressed.ts'
import { parseQuerySession, type QuerySession } from './query-session.ts'

export type BinlogQuery = { readonly schema: string; readonly text: Buffer; readonly session: QuerySession }

export function parseQueryEvent(body: Buffer, form: 'plain' | 'mariadbCompressed' | 'loadData'): BinlogQuery {
  const reader = new ByteReader(body)
  reader.skip(8)
  const schemaBytes = reader.u8()
  reader.skip(2)
  const statusBytes = reader.u16()
  if (form === 'loadData') reader.skip(13)
  const session = parseQuerySession(reader.bytes(statusBytes))
  const schema = reader.bytes(schemaBytes).toString('utf8')
  reader.skip(1)
  const rest = reader.rest()
  return { schema, session, text: form === 'mariadbCompressed' ? unpackMariadb(rest) : rest }
}
