import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { readTableDefinitions } from './table-definitions.ts'

test('promise 8: a table whose partitions come and go is there whenever it is looked for, though MariaDB leaves it out of its list', async () => {
  await using server = await testServer({ flavour: 'mariadb' })
  const [altering, looking] = await Promise.all([connect(server.config), connect(server.config)])
  const partition = (i: number): string => `PARTITION p${i} VALUES LESS THAN (${10 * i + 10})`
  await altering.query('CREATE DATABASE s')
  await altering.query(
    `CREATE TABLE s.t (at BIGINT NOT NULL PRIMARY KEY, n INT) PARTITION BY RANGE (at) (${partition(0)}, ${partition(1)})`,
  )
  const done = new AbortController()
  const churn = (async (): Promise<void> => {
    for (let i = 2; !done.signal.aborted; i++) {
      await altering.query(`ALTER TABLE s.t ADD PARTITION (${partition(i)})`)
      await altering.query(`ALTER TABLE s.t DROP PARTITION p${i - 2}`)
    }
  })()
  const limitMs = Date.now() + 8_000
  for (let leftOut = 0; leftOut < 3 && Date.now() < limitMs;) {
    if (!(await readTableDefinitions(looking, 's')).has('t')) leftOut++
    const found = await readTableDefinitions(looking, 's', ['t', 'absent'])
    assert.deepEqual(
      [...found].map(([name, columns]) => [name, columns.length]),
      [['t', 2]],
    )
  }
  done.abort()
  await churn
  await Promise.all([altering.close(), looking.close()])
})
