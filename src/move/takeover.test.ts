import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { endOwnSessions } from './takeover.ts'

test('1.7: a session id that the server has given anew to this run itself is not ended', async () => {
  const killed: string[] = []
  const sessions = new Set(['7', '8'])
  const conn = {
    threadId: 5,
    allText: async (sql: string) =>
      sql.startsWith('SHOW')
        ? [...sessions].map((Id) => ({ Id, User: 'mover', Command: 'Sleep', Info: null }))
        : ['5', '7', '8'].map((id) => ({ id, user: 'mover' })),
    query: async (sql: string) => {
      const [, id] = /^KILL (\d+)/.exec(sql) ?? []
      if (id === undefined) return
      killed.push(id)
      sessions.delete(id)
    },
    value: async () => '1',
  } as unknown as Connection
  const on = { streamUid: 's', targetUid: 't', workflowUid: 'w', direction: 'forward' }
  await endOwnSessions(conn, on, 2, { atWork: 'wait', own: [6, 7], clock: systemClock, signal: new AbortController().signal })
  assert.deepEqual(killed, ['8'])
})
