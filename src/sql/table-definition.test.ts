// The files in testdata/ are SHOW CREATE TABLE outputs of MariaDB 10.11.19 and MySQL 9.7.4 for tables made to be hard to read.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { checksOf, parseTableDefinition, printTableDefinition } from './table-definition.ts'
import {
  addKeysStatements,
  autoIncrementColumn,
  columnsOf,
  deferSecondaryKeys,
  foreignKeysOf,
  keysOf,
  primaryKeyOf,
  withoutAutoIncrement,
  withoutAutoIncrementCounter,
  withoutForeignKeys,
} from './table-edits.ts'

const load = (name: string): string => readFileSync(new URL(`testdata/${name}.sql`, import.meta.url), 'utf8').trimEnd()
const flavours = ['mariadb', 'mysql']

for (const flavour of flavours) {
  for (const table of ['nasty', 'child', 'parted']) {
    test(`${flavour} ${table}: what is read and printed again is the server's own text, byte for byte`, () => {
      const text = load(`${flavour}-${table}`)
      assert.equal(printTableDefinition(parseTableDefinition(text)), text)
    })
  }

  test(`${flavour}: columns, keys and their attributes`, () => {
    const definition = parseTableDefinition(load(`${flavour}-nasty`))
    assert.deepEqual(
      columnsOf(definition).map((column) => column.name),
      ['key', 'we`ird, name', 'e', 's', 'g', 'st', 'j', 'u', 'ts', 'inv', 'check', 'txt', 'geo'],
    )
    const column = (name: string) => columnsOf(definition).find((c) => c.name === name)!
    assert.equal(column('key').autoIncrement, true)
    assert.equal(column('e').autoIncrement, false, 'an enum value is no attribute')
    assert.equal(column('g').generated, 'virtual')
    assert.equal(column('st').generated, 'stored')
    assert.equal(column('u').generated, null)
    assert.equal(column('inv').invisible, true)
    assert.equal(column('ts').notNull, true)
    assert.equal(column('check').notNull, false)
    assert.deepEqual(primaryKeyOf(definition)?.columns, ['we`ird, name', 'key'])
    assert.equal(autoIncrementColumn(definition)?.name, 'key')
    assert.equal(definition.autoIncrementNext, 77n, 'not the one in the comment')
    const key = (name: string) => keysOf(definition).find((k) => k.name === name)!
    assert.deepEqual(
      [key('k,2').columns, key('k,2').prefixes],
      [
        ['txt', 'e'],
        [20, null],
      ],
    )
    assert.equal(key('uq').type, 'unique')
    assert.equal(key('ft').type, 'fulltext')
    assert.equal(key('sp').type, 'spatial')
    assert.deepEqual(key('hash').columns, ['s'])
  })

  test(`${flavour}: without AUTO_INCREMENT only the attribute and the counter are gone`, () => {
    const text = load(`${flavour}-nasty`)
    assert.equal(
      printTableDefinition(withoutAutoIncrement(parseTableDefinition(text))),
      text.replace('NOT NULL AUTO_INCREMENT COMMENT', 'NOT NULL COMMENT').replace(' AUTO_INCREMENT=77', ''),
    )
    assert.equal(printTableDefinition(withoutAutoIncrementCounter(parseTableDefinition(text))), text.replace(' AUTO_INCREMENT=77', ''))
    const parted = load(`${flavour}-parted`)
    assert.equal(printTableDefinition(withoutAutoIncrement(parseTableDefinition(parted))), parted, 'a comment is left alone')
  })

  test(`${flavour}: secondary keys are taken out and given back; unique ones and the counter's stay`, () => {
    const { definition, deferred } = deferSecondaryKeys(parseTableDefinition(load(`${flavour}-nasty`)))
    assert.deepEqual(
      keysOf(definition).map((key) => key.name),
      ['PRIMARY', 'uq', 'key'],
    )
    assert.ok(deferred.some((key) => key.name === 'k,2'))
    const statements = addKeysStatements('`d`.`nasty`', deferred)
    assert.equal(statements.length, 2)
    assert.match(statements[0]!, /^ALTER TABLE `d`\.`nasty` ADD KEY `k,2` \(`txt`\(20\),`e` DESC\) COMMENT 'c\) , x', ADD SPATIAL KEY/)
    assert.equal(statements[1], 'ALTER TABLE `d`.`nasty` ADD FULLTEXT KEY `ft` (`txt`)')
    if (flavour === 'mysql') assert.match(statements[0]!, /ADD KEY `hash` \(`s`\) USING BTREE \/\*!80000 INVISIBLE \*\/, ADD KEY `fn`/)
  })

  test(`${flavour}: foreign keys are listed and taken out; the index that serves one stays`, () => {
    const definition = parseTableDefinition(load(`${flavour}-child`))
    assert.deepEqual(
      foreignKeysOf(definition).map(({ name, columns, references, onDelete, onUpdate }) => ({
        name,
        columns,
        references,
        onDelete,
        onUpdate,
      })),
      [
        {
          name: 'fk,1',
          columns: ['p'],
          references: { schema: null, table: 'nasty', columns: ['check'] },
          onDelete: 'CASCADE',
          onUpdate: 'SET NULL',
        },
      ],
    )
    assert.deepEqual(deferSecondaryKeys(definition).deferred, [])
    const without = withoutForeignKeys(definition)
    assert.doesNotMatch(printTableDefinition(without), /FOREIGN/)
    assert.deepEqual(
      deferSecondaryKeys(without).deferred.map((key) => key.name),
      ['zz'],
    )
  })
}

test('what columns are generated by, and what checks say, is read out of parentheses and quotes', () => {
  const definition = parseTableDefinition(`CREATE TABLE \`t\` (
  \`a\` int NOT NULL DEFAULT 3 CHECK (\`a\` > 0) COMMENT 'AS (x) CHECK (y)',
  \`as\` varchar(9) GENERATED ALWAYS AS (concat(\`a\`,')')) VIRTUAL,
  CONSTRAINT \`c\` CHECK ((\`a\` < 9)),
  CONSTRAINT \`d\` CHECK ((\`a\` < 8)) /*!80016 NOT ENFORCED */
) ENGINE=InnoDB`)
  assert.deepEqual(
    definition.elements.map((element) => (element.kind === 'column' ? element.expression : element.kind)),
    [null, "concat(`a`,')')", 'other', 'other'],
  )
  assert.deepEqual(checksOf(definition), ['`a` > 0', '(`a` < 9)'])
})

test('what is no CREATE TABLE is refused, not guessed', () => {
  for (const text of ['CREATE VIEW v AS SELECT 1', 'CREATE TABLE t', 'CREATE TABLE t (', 'CREATE TABLE t (a int', 'DROP TABLE t', '']) {
    assert.throws(
      () => parseTableDefinition(text),
      (error) => isSwError(error),
      text,
    )
  }
})
