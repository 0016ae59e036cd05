import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ServerInstall } from './installs.ts'
import { defaultSettings, serverConfig } from './server-config.ts'

const install: ServerInstall = {
  flavour: 'mariadb',
  mysqld: '/x/server',
  basedir: '/x/a b',
  shareDir: null,
  version: '10.11.1',
  how: 'found',
}
const place = { dataDir: '/d "q"/data', socketPath: '/d/s', port: 1, pidFile: '/d/p', tmpDir: '/d/t', serverId: 9 }

test('paths with blanks and quotes stand in quotes; settings given win', () => {
  const text = serverConfig(install, place, { ...defaultSettings, extra: { 'server-id': 5 } })
  assert.match(text, /^basedir = "\/x\/a b"$/m)
  assert.match(text, /^datadir = "\/d \\"q\\"\/data"$/m)
  assert.match(text, /^server-id = 5$/m)
  assert.equal(text.match(/^server-id/gm)?.length, 1)
})

test('commits are durable unless a test asks otherwise', () => {
  assert.match(serverConfig(install, place, defaultSettings), /^sync-binlog = 1$/m)
  assert.match(serverConfig(install, place, defaultSettings), /^innodb-flush-log-at-trx-commit = 1$/m)
  assert.match(serverConfig(install, place, { ...defaultSettings, durability: 'relaxed' }), /^innodb-flush-log-at-trx-commit = 2$/m)
  assert.match(serverConfig(install, place, { ...defaultSettings, binlog: false }), /^skip-log-bin = ON$/m)
})

test('a transaction of megabytes goes to the binlog without a file of its own', () => {
  assert.match(serverConfig(install, place, defaultSettings), /^binlog-cache-size = 4194304$/m)
  assert.doesNotMatch(serverConfig(install, place, { ...defaultSettings, binlog: false }), /^binlog-cache-size/m)
})

test('whose locks a deadlock was made of is told in the log', () => {
  assert.match(serverConfig(install, place, defaultSettings), /^innodb-print-all-deadlocks = ON$/m)
})
