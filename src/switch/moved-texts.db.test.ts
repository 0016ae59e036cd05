/** What triggers and events say in letters beyond ASCII, made by clients of other character sets: the side that comes has it as it was. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours, testServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { ClaimedServer } from './claim.ts'
import { ensureControlTables } from './control-schema.ts'
import { makeObjects, readObjects } from './moved-objects.ts'

for (const flavour of flavours())
  test(`promise 3: triggers and events that move keep their letters, ${flavour}`, async () => {
    await using server = await testServer({ flavour })
    await using c = await connect(server.config)
    await ensureControlTables(c)
    for (const schema of ['a', 'b']) {
      await c.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
      await c.query(`CREATE TABLE ${schema}.t (id INT PRIMARY KEY, s VARCHAR(40))`)
    }
    await c.useDatabase('a')
    await c.query("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '?😀é')  ")
    await c.query("CREATE EVENT e ON SCHEDULE EVERY 1 HOUR DO UPDATE t SET s = '?😀é'")
    await c.query('SET character_set_client = latin1')
    await c.query(Buffer.from("CREATE TRIGGER h BEFORE UPDATE ON t FOR EACH ROW SET NEW.s = 'é?'", 'latin1'))
    await c.query('SET NAMES utf8mb4')
    await makeObjects({ connection: c } as unknown as ClaimedServer, 'b', await readObjects(c, 'a'))
    const outcome = async (schema: string): Promise<unknown> => {
      await c.query(`INSERT INTO ${schema}.t VALUES (1, 'x'), (2, '')`)
      await c.query(`UPDATE ${schema}.t SET s = '' WHERE id = 2`)
      const event = (await c.allText(`SHOW CREATE EVENT ${schema}.e`))[0]?.['Create Event']?.split(' DO ')[1]
      return [await c.value(`SELECT GROUP_CONCAT(HEX(s) ORDER BY id) FROM ${schema}.t`), event]
    }
    const there = await outcome('a')
    assert.deepEqual(await outcome('b'), there)
    assert.deepEqual(there, ['783FF09F9880C3A9,C3A93F', "UPDATE t SET s = '?😀é'"])
  })
