/** The clients for Node, in every case of cases.ts; those of other languages have  npm run test:clients . */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { compareClient } from './compare.ts'
import { nodeClients } from './programs.ts'
import { startClientWorld, type ClientWorld } from './world.ts'

let world: ClientWorld

before(async () => {
  world = await startClientWorld('mariadb')
})

after(async () => {
  await world?.[Symbol.asyncDispose]()
})

for (const [i, client] of nodeClients.entries()) {
  const ways = [...(i === 0 ? [[false, 'app'] as const] : []), [true, 'app'] as const, ...(i < 2 ? [[false, 'shop'] as const] : [])]
  test(`promise 10: ${client.name} sees through the gate what it sees at the server`, async (t) => {
    try {
      client.install()
    } catch (error) {
      return t.skip(`${client.name} can not be had here: ${error instanceof Error ? error.message : String(error)}`)
    }
    for (const [tls, database] of ways) {
      const { compared, differences } = await compareClient(client, world, tls, database)
      assert.deepEqual(differences, [], `${database}, ${tls ? 'with TLS' : 'without TLS'}`)
      assert.ok(compared >= 15)
    }
  })
}
