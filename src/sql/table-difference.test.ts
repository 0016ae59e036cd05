import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTableDefinition } from './table-definition.ts'
import { alterStatements } from './table-difference.ts'

const table = (...elements: string[]) =>
  parseTableDefinition(`CREATE TABLE \`t\` (\n  ${elements.join(',\n  ')}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`)
const between = (from: string[], to: string[]): string[] | null => alterStatements('`t`', table(...from), table(...to))

const id = '`id` bigint(20) NOT NULL'
const a = '`a` int(11) DEFAULT NULL'
const b = '`b` int(11) DEFAULT NULL'
const primary = 'PRIMARY KEY (`id`)'

test('nothing to do between two that are one', () => {
  assert.deepEqual(between([id, a, primary], [id, a, primary]), [])
})

test('columns come, go, change and change their places; those that only stand behind new ones are left alone', () => {
  assert.deepEqual(between([id, a, primary], [id, b, a, primary]), ['ALTER TABLE `t` ADD COLUMN `b` int(11) DEFAULT NULL AFTER `id`'])
  assert.deepEqual(between([id, a, b, primary], [id, b, primary]), ['ALTER TABLE `t` DROP COLUMN `a`'])
  assert.deepEqual(between([id, a, primary], [id, '`a` text DEFAULT NULL', primary]), [
    'ALTER TABLE `t` MODIFY COLUMN `a` text DEFAULT NULL AFTER `id`',
  ])
  assert.deepEqual(between([id, a, b, primary], [b, id, a, primary]), ['ALTER TABLE `t` MODIFY COLUMN `b` int(11) DEFAULT NULL FIRST'])
})

test('a key that changes goes and comes in the statement of its columns; FULLTEXT keys and foreign keys have their own', () => {
  assert.deepEqual(
    between([id, a, primary, 'KEY `k` (`a`)'], [id, a, b, 'PRIMARY KEY (`id`,`b`)', 'KEY `k` (`b`)', 'FULLTEXT KEY `f` (`a`)']),
    [
      'ALTER TABLE `t` DROP PRIMARY KEY, DROP KEY `k`, ADD COLUMN `b` int(11) DEFAULT NULL AFTER `a`, ADD PRIMARY KEY (`id`,`b`), ADD KEY `k` (`b`)',
      'ALTER TABLE `t` ADD FULLTEXT KEY `f` (`a`)',
    ],
  )
  const foreign = (to: string): string => `CONSTRAINT \`f\` FOREIGN KEY (\`a\`) REFERENCES \`${to}\` (\`id\`)`
  assert.deepEqual(between([id, a, primary, foreign('p')], [id, a, primary, foreign('q')]), [
    'ALTER TABLE `t` DROP FOREIGN KEY `f`',
    `ALTER TABLE \`t\` ADD ${foreign('q')}`,
  ])
  assert.deepEqual(between([id, a, primary], [id, a, primary, 'FULLTEXT KEY `f` (`a`)']), ['ALTER TABLE `t` ADD FULLTEXT KEY `f` (`a`)'])
})

test('other constraints and options are not made here', () => {
  assert.equal(between([id, primary], [id, primary, 'CONSTRAINT `c` CHECK (`id` > 1)']), null)
})
