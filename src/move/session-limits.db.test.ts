/** Sessions of ours on servers whose settings limit what sessions may do (PROTOCOLS 1.12). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besideEachOther } from '../../test/kit/beside.ts'
import { connectPlain, connectReader, connectWriter } from './access.ts'
import { fill, World } from './testkit/world.ts'

/** How statements about tables are read and done, and printed. */
const otherwise = {
  mariadb: "sql_if_exists=1, GLOBAL alter_algorithm='INSTANT', GLOBAL sql_quote_show_create=0",
  mysql: 'sql_quote_show_create=0, GLOBAL sql_generate_invisible_primary_key=1',
}
const timeLimit = { mariadb: 'max_statement_time=1, GLOBAL idle_transaction_timeout=1', mysql: 'max_execution_time=1000' }

besideEachOther('limits that a server sets', (flavour) => {
  test(`1.12 on ${flavour}: limits that the server sets for every session (time, rows, autocommit, careless statements) are not ours: all is copied, and what takes long ends`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] })
    await fill(world, 0, 500, 2000)
    for (const conn of [world.s, world.t]) {
      await conn.query(`SET GLOBAL ${timeLimit[flavour]}`)
      await conn.query('SET GLOBAL sql_select_limit=7, GLOBAL autocommit=0, GLOBAL sql_safe_updates=1, GLOBAL completion_type=2')
      await conn.query(`SET GLOBAL ${otherwise[flavour]}`)
      await conn.query('SET GLOBAL TRANSACTION READ ONLY')
    }
    const address = { id: 't', name: 't', flavour, connect: world.target.config }
    for (const open of [connectPlain, connectReader, connectWriter]) {
      await using conn = await open(address)
      // Ended by a limit it says 1 or fails.
      assert.equal(await conn.value('SELECT SLEEP(1.5)'), '0')
    }
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET v = v + 1 WHERE id % 3 = 0')
    await world.drain(record.uid)
    assert.ok((await world.assertEqual()) >= 500)
    await running.stop()
  })
})
