import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import { putViews } from './views.ts'

test('promise 5: of views that somebody reads one is waited for, not each of them, nor again in another pass', async () => {
  const tried: string[] = []
  const source = {
    query: async () => undefined,
    useDatabase: async () => undefined,
    allText: async (sql: string) => [
      { 'Create View': `CREATE VIEW ${/`\w+`$/.exec(sql)?.[0]} AS select 1 AS \`x\``, collation_connection: 'utf8mb4_bin' },
    ],
  }
  const target = {
    ...source,
    value: async () => 'utf8mb4_bin',
    query: async (sql: string) => {
      const view = /^CREATE OR REPLACE VIEW .*?`(\w+)` AS/.exec(sql)?.[1]
      if (view === undefined) return
      tried.push(view)
      if (view !== 'free') throw new ServerError(1205, 'HY000', 'Lock wait timeout exceeded')
    },
  }
  const side = (conn: object): { conn: Connection; schema: string } => ({ conn: conn as Connection, schema: 's' })
  const failed = await putViews({ source: side(source), target: side(target) }, ['free', 'read', 'another', 'last'])
  assert.deepEqual(tried, ['free', 'read'])
  assert.deepEqual(failed.map(({ view }) => view), ['read', 'another', 'last']) // prettier-ignore
  assert.match(failed[1]?.reason ?? '', /not tried after read: Lock wait/)
})
