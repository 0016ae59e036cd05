import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { cascadesLogged } from './cascade-check.ts'

test('1.11: a server is let in only where what was tried and its version agree that it logs what cascades change', async () => {
  const logging = { flavour: 'mysql', versionNumber: 90_700, allText: async () => [], value: async () => '3' } as unknown as Connection
  const silent = { flavour: 'mariadb', versionNumber: 129_900 } as unknown as Connection
  const look = (connection: Connection, logs: boolean): ReturnType<typeof cascadesLogged> =>
    cascadesLogged(connection, 's', 1, 'made', async () => ({ logs, by: 'probe', why: null }))
  const { logs, notes } = await look(logging, true)
  assert.deepEqual([logs, notes[0], notes.length], [true, 's logs what cascades change, as was tried there', 2])
  assert.match(notes[1] ?? '', /^connections that are reset \(3 since it started\).*SW-MOVE-045/)
  assert.equal((await look(logging, false)).logs, false)
  assert.equal((await look(silent, false)).logs, false)
  const newer = await look(silent, true)
  assert.equal(newer.logs, false, 'its streams would be refused when everything is made')
  assert.match(newer.notes.join(), /as was tried there, but streams do not follow them on a server of its version/)
})
