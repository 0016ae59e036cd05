import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { flavours, localServers, mainFlavour } from '../../test/kit/servers.ts'
import { LocalProvisioner } from '../local/provisioner.ts'
import { connect } from '../mysql/connect.ts'
import type { FlavourName } from '../mysql/connection.ts'
import { differingDefaults, readSessionDefaults, type SessionDefaults } from '../mysql/session-defaults.ts'
import { noSwitchFailpoint } from '../switch/crash-points.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import { createBranch } from './branches.ts'
import { withServer } from './servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const ofTheSource = {
  'default-time-zone': '+05:30',
  'transaction-isolation': 'READ-COMMITTED',
  'sql-mode': 'ANSI_QUOTES,STRICT_ALL_TABLES',
  'div-precision-increment': 9,
  'group-concat-max-len': 4242,
  'max-sort-length': 3000,
  'default-week-format': 3,
  'lc-time-names': 'de_DE',
  'explicit-defaults-for-timestamp': 'OFF',
  'character-set-server': 'latin1',
  'collation-server': 'latin1_german1_ci',
}
/** One whose clocks are put back in autumn. */
const zone = [
  "SET time_zone = '+00:00'",
  "INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (901, 'N')",
  "INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('Test/Autumn', 901)",
  "INSERT INTO mysql.time_zone_transition_type VALUES (901, 0, 7200, 1, 'S'), (901, 1, 3600, 0, 'W')",
  "INSERT INTO mysql.time_zone_transition VALUES (901, 0, 0), (901, UNIX_TIMESTAMP('2024-10-27 01:00:00'), 1)",
]
/** As a client sees them that sets nothing. */
const seen =
  "SELECT CONCAT_WS(' ', @@SESSION.time_zone, @@SESSION.sql_mode, @@SESSION.group_concat_max_len, @@SESSION.max_sort_length, 1 / 3, DATE_FORMAT('2024-03-01', '%M')) AS v"

function provisioning(flavour: FlavourName, extra: Record<string, number>) {
  const root = mkdtempSync(join(tmpdir(), 'sw-prov-'))
  const servers = localServers()
  const mb = 1024 * 1024
  const settings = { durability: 'relaxed', bufferPoolBytes: 64 * mb, redoLogBytes: 48 * mb, performanceSchema: false, extra } as const
  return { root, servers, provisioner: new LocalProvisioner(servers, { root, flavours: [flavour], settings }) }
}

async function removeAll(provisioner: LocalProvisioner, root: string): Promise<void> {
  await Promise.all((await provisioner.list()).map(({ id, which }) => provisioner.remove(id, which)))
  rmSync(root, { recursive: true, force: true })
}

for (const flavour of flavours()) {
  test(`${flavour}: servers that a reshard makes have the source's defaults of sessions, its schema's charset and its zones, also when they are started again; what the user sets for them stays`, async () => {
    const { root, servers, provisioner } = provisioning(flavour, { max_sort_length: 2000 })
    try {
      await using source = await testServer({ flavour, durability: 'full', extra: ofTheSource })
      await using there = await rootOf(source)
      await there.query('CREATE DATABASE app')
      await there.query('CREATE TABLE app.a (id INT NOT NULL PRIMARY KEY, x INT) ENGINE=InnoDB')
      {
        await using other = await rootOf(source)
        for (const sql of zone) await other.query(sql)
      }
      await using office = await Office.open(flavour, noSwitchFailpoint, provisioner)
      await office.keyspace('app', source, 'app', ['a'])
      const made = await office.create('app', 'w', { targetsPerServer: 1 })
      assert.equal(made.state, 'done', JSON.stringify(made.errors))
      const shards = (await listRecords<ShardRecord>(office.store, keys.allShards)).map(({ value }) => value)
      const ids = shards.filter((shard) => shard.provisioned).map((shard) => shard.serverId)
      assert.equal(new Set(ids).size, 2)

      const onEach = async (): Promise<{ differing: string[]; seen: string[]; zoneKnown: string[]; schemas: string[] }> => {
        const found = new Map<string, SessionDefaults>()
        const [values, known, schemas] = [new Set<string>(), new Set<string>(), new Set<string>()]
        for (const id of ids) {
          const server = await readRecord<ServerRecord>(office.store, keys.server(id))
          const secret = await readRecord<ServerSecret>(office.store, keys.secret(id))
          await using connection = await connect({ ...placeOfServer(server!.value), ...secret!.value.admin })
          values.add((await connection.value(seen)) ?? '')
          const collations =
            "SELECT GROUP_CONCAT(DISTINCT DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'app%'"
          schemas.add((await connection.value(collations)) ?? 'none')
          known.add((await connection.value("SELECT CONVERT_TZ('2024-10-28 12:00:00', '+00:00', 'Test/Autumn')")) ?? 'none')
          found.set(id, await readSessionDefaults(connection))
        }
        await using fresh = await rootOf(source)
        const differing = differingDefaults(new Map([['source', await readSessionDefaults(fresh)]]), found)
        return { differing: differing.map(({ variable }) => variable), seen: [...values], zoneKnown: [...known], schemas: [...schemas] }
      }
      const startAgain = async (): Promise<void> => {
        for (const id of ids) {
          await servers.kill9(join(root, id))
          await provisioner.ensureRunning(id)
        }
      }
      const expected = {
        differing: ['max_sort_length'],
        seen: [((await there.value(seen)) ?? '').replace(' 3000 ', ' 2000 ')],
        zoneKnown: ['2024-10-28 13:00:00'],
        schemas: ['latin1_german1_ci'],
      }
      assert.match(expected.seen[0] ?? '', /^\+05:30 .*ANSI_QUOTES.* 4242 2000 0\.333333333 März$/)
      assert.deepEqual(await onEach(), expected)
      await startAgain()
      assert.deepEqual(await onEach(), expected)

      // Set otherwise since: they are closed, so nobody else could follow.
      for (const set of ["time_zone = 'Test/Autumn'", "sql_mode = 'NO_BACKSLASH_ESCAPES'"]) await there.query(`SET GLOBAL ${set}`)
      assert.deepEqual((await onEach()).differing, ['time_zone', 'sql_mode', 'max_sort_length'])
      const checked = await office.act('app', 'w', 'check')
      assert.deepEqual(
        checked.errors.filter(({ code }) => code === 'SW-SWITCH-055'),
        [],
      )
      assert.deepEqual((await onEach()).differing, ['max_sort_length'])
      await startAgain()
      assert.deepEqual((await onEach()).differing, ['max_sort_length'])
      await using last = await rootOf(source)
      assert.deepEqual((await onEach()).seen, [((await last.value(seen)) ?? '').replace(' 3000 ', ' 2000 ')])
    } finally {
      await removeAll(provisioner, root)
    }
  })
}

for (const flavour of mainFlavour()) {
  test(`${flavour}: servers that are made for a branch have them too`, async () => {
    const { root, provisioner } = provisioning(flavour, {})
    try {
      await using source = await testServer({ flavour, durability: 'full', extra: ofTheSource })
      await using there = await rootOf(source)
      await there.query('CREATE DATABASE app')
      await there.query('CREATE TABLE app.a (id INT NOT NULL PRIMARY KEY, x INT) ENGINE=InnoDB')
      await using office = await Office.open(flavour, noSwitchFailpoint, provisioner)
      await office.keyspace('app', source, 'app', ['a'])
      await updateRecord<KeyspaceRecord>(office.store, keys.keyspace('app'), (one) => (one === null ? null : { ...one, sharded: true }))
      await createBranch(office.world, { keyspace: 'app', branch: 'wide', shards: 2, targetsPerServer: 2 })
      const [shard] = (await listRecords<ShardRecord>(office.store, keys.shards('app@wide'))).map(({ value }) => value)
      await withServer(office.store, shard!.serverId, 'admin', async (connection) => {
        await using fresh = await rootOf(source)
        const sides = [fresh, connection].map(async (one, i) => new Map([[String(i), await readSessionDefaults(one)]]))
        const [from, to] = await Promise.all(sides)
        assert.deepEqual(differingDefaults(from!, to!), [])
        const collation = `SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${shard!.schema}'`
        assert.equal(await connection.value(collation), 'latin1_german1_ci')
      })
    } finally {
      await removeAll(provisioner, root)
    }
  })
}
