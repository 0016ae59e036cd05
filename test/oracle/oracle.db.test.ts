/**
 * Promise 10, a short fixed run of the oracle (README.md): any difference is a wrong answer. `npm run oracle` asks more.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../kit/servers.ts'
import { Oracle } from './oracle.ts'
import { printReport } from './report.ts'

for (const [flavour, count, clients, shards] of [
  ['mariadb', 700, 2, 4],
  ['mysql', 300, 1, 4],
  ['mariadb', 250, 1, 1],
] as const) {
  test(`promise 10: of ${count} generated statements on ${flavour}, over ${shards} shards, none is answered otherwise than by one server`, async (t) => {
    if (!flavours().includes(flavour)) return t.skip(`no ${flavour} here`)
    const report = await new Oracle({ seed: 7, count, flavour, clients, shards, rows: 40 }).run()
    const found = printReport(report, { differences: 5, refused: 5 })
    t.diagnostic(found.split('\n', 1)[0] as string)
    assert.equal(report.wrong, 0, found)
    assert.deepEqual(report.failures, [], found)
  })
}
