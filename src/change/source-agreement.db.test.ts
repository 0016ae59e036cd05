import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from '../mysql/connect.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { put, updateRecord } from '../topology/typed.ts'
import { planReshardCreate } from './reshard-plan.ts'
import { disagreements } from './source-agreement.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

for (const flavour of flavours()) {
  test(`1.6: merges: sources whose columns, keys or unique keys differ are told, by what differs; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const source = async (shard: string, ...tables: string[]) => {
      const name = uniqueName(shard)
      await connection.query(`CREATE DATABASE ${name}`)
      for (const [i, columns] of tables.entries()) await connection.query(`CREATE TABLE ${name}.t${i} (${columns}) ENGINE=InnoDB`)
      return { shard, schema: await readSchema(connection, name), connection }
    }
    const alike = 'id INT NOT NULL PRIMARY KEY, mail VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, KEY (mail)'
    const a = await source(
      'a',
      alike,
      'id INT NOT NULL PRIMARY KEY, n INT NOT NULL, x INT, s ENUM("u","v")',
      'id INT NOT NULL PRIMARY KEY, n INT NOT NULL',
    )
    const b = await source(
      'b',
      // Another order of columns and another index are no matter.
      'mail VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, ID INT NOT NULL PRIMARY KEY',
      'id INT NOT NULL PRIMARY KEY, n BIGINT, y INT, s ENUM("v","u")',
      'id INT NOT NULL, n INT NOT NULL, PRIMARY KEY (id, n), UNIQUE KEY only (n)',
    )
    const told = async (pairs: Parameters<typeof disagreements>[0]): Promise<string[]> =>
      (await disagreements(pairs, ['t0', 't1', 't2'])).map(
        ({ code, message }) => `${code} ${message.replaceAll(/int\(\d+\)/g, 'int').replaceAll(/ [a-z0-9]+_[a-z0-9_]+_ci\b/g, '')}`,
      )
    assert.deepEqual(await told([[a, a]]), [])
    const wrong = await told([[a, b]])
    assert.deepEqual(
      wrong.map((one) => one.replace(/^SW-CHANGE-\d+ /, '')),
      [
        't1 is another table on a than on b: column n is int NOT NULL and bigint',
        't1 is another table on a than on b: column x stands on the first only',
        "t1 is another table on a than on b: column s is enum('u','v') and enum('v','u')",
        't1 is another table on a than on b: column y stands on the second only',
        't2 is another table on a than on b: rows are told apart by (id) and by (id, n)',
        't2 is another table on a than on b: unique key PRIMARY stands on the first only',
        't2 is another table on a than on b: unique key only stands on the second only',
      ],
    )
  })

  test(`1.6: merges: a plan is refused where its sources differ, and one that brings none of them together is not; ${flavour}`, async () => {
    await using server = await testServer({ flavour, durability: 'full' })
    await using office = await Office.open(flavour)
    const names = ['-80', '80-']
    {
      await using root = await rootOf(server)
      for (const [i, unique] of ['', ', UNIQUE KEY only (x)'].entries()) {
        await root.query(`CREATE DATABASE app_${i}`)
        await root.query(`CREATE TABLE app_${i}.a (id INT NOT NULL PRIMARY KEY, x INT${unique}) ENGINE=InnoDB`)
      }
    }
    await office.keyspace('app', server, 'app_0', ['a'])
    const place = { serverId: `127.0.0.1:${server.port}`, madeBy: null, provisioned: false }
    const shards = names.map((name, i): ShardRecord => ({ v: 1, keyspace: 'app', name, uid: `uid-${i}`, schema: `app_${i}`, ...place }))
    await updateRecord<RoutingRecord>(office.store, keys.routing('app'), () => initialRouting(names))
    await office.store.commit(
      [],
      [{ key: keys.shard('app', '-'), value: undefined }, ...shards.map((shard) => put(keys.shard('app', shard.name), shard))],
    )
    const plan = (targetShards: string[]) =>
      planReshardCreate(office.world, 'app', 'w', {
        sourceShards: names,
        targetShards,
        autoStart: false,
        stopAfterCopy: false,
        onDdl: 'stop',
        deferSecondaryKeys: true,
        allowUnfenced: [],
        failpoints: {},
      })
    await assert.rejects(plan(['-']), /a is another table on -80 than on 80-: unique key only stands on the second only/)
    await plan(['-40', '40-80', '80-c0', 'c0-'])
  })
}
