/** Promise 10: what docs/sql.md says is refused over several shards is refused, by the code that it names, and one server takes it; the page is made from these statements. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { besideOne, gateOnServer, type GateOnServer } from '../src/gate/testkit/gate-on-server.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { isServerError } from '../src/mysql/errors.ts'
import { flavours } from './kit/servers.ts'
import { sessions } from './sql-refused-sessions.cases.ts'
import { reading, routines, sharding, tables, writing } from './sql-refused.cases.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: sharding },
        tables,
        settings: { log_bin_trust_function_creators: 1 },
      })
      for (const schema of world.schemas) {
        await world.admin.query(`USE ${schema}`)
        for (const sql of routines) await world.admin.query(sql)
      }
    })
    after(() => world.stop())

    for (const [name, refusals] of Object.entries({ reading, writing, sessions })) {
      test(`promise 10: refused over several shards: ${name}`, async () => {
        for (const { what, on = flavour, before: settings = [], statements, parameters } of refusals) {
          if (on !== flavour) continue
          for (const [sql, code] of Object.entries(statements)) {
            const sides = await besideOne(world)
            for (const setting of settings) for (const side of [sides.c, sides.one]) await side.query(setting)
            if (parameters === undefined) {
              assert.equal(await sides.code(sql), code, `${what}: ${sql}`)
              await assert.doesNotReject(sides.one.query(sql), sql)
            } else {
              const run = async (side: Connection): Promise<unknown> => await (await side.prepare(sql)).execute(parameters)
              await assert.rejects(run(sides.c), (error) => isServerError(error) && error.serverMessage.startsWith(code), `${what}: ${sql}`)
              await assert.doesNotReject(run(sides.one), sql)
            }
            await sides.close()
          }
        }
      })
    }
  })
}
