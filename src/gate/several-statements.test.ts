import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultMode } from '../sql/lexer.ts'
import { requireSeveral, statementsOf } from './several-statements.ts'

const textsOf = (sql: string): string[] | undefined => statementsOf(Buffer.from(sql), defaultMode)?.map((text) => text.toString().trim())

test('where one statement ends and the next begins: not in texts, names, comments or routines', () => {
  assert.deepEqual(textsOf("SELECT ';' AS a; DELETE FROM `b;c`"), ["SELECT ';' AS a;", 'DELETE FROM `b;c`'])
  assert.deepEqual(textsOf('SELECT 1;; ; -- ;\n SELECT 2 /* ; */;'), ['SELECT 1;', ';', ';', '-- ;\n SELECT 2 /* ; */;'])
  for (const one of [
    'SELECT 1;',
    ';;',
    'SELECT 1 -- ; SELECT 2',
    'CREATE DEFINER=`a`@`%` PROCEDURE p() BEGIN SELECT 1; SELECT 2; END',
    'CREATE OR REPLACE TRIGGER t AFTER INSERT ON a FOR EACH ROW BEGIN SET @a = 1; SET @b = 2; END',
    'BEGIN NOT ATOMIC SELECT 1; SELECT 2; END',
    'IF 1 THEN SELECT 1; END IF',
  ])
    assert.equal(textsOf(one), undefined, one)
  assert.equal(textsOf('BEGIN; SELECT 1')?.length, 2)
  assert.equal(textsOf('CREATE TABLE a (b INT); DROP TABLE a')?.length, 2)
  assert.deepEqual(textsOf("SELECT 1; SELECT 'open"), ['SELECT 1;', "SELECT 'open"])
})

test('several are run only where the account may and the client asked', () => {
  const texts = ['SELECT 1', 'DROP TABLE t'].map((text) => Buffer.from(text))
  const guard = { user: 'ann', allowsMultiStatements: true }
  requireSeveral(texts, true, guard)
  assert.throws(() => requireSeveral(texts, false, guard), { code: 'SW-GATE-037' })
  assert.throws(() => requireSeveral(texts, true, { ...guard, allowsMultiStatements: false }), {
    code: 'SW-GATE-037',
    fix: /user alter ann --multi-statements allowed/,
  })
  assert.throws(() => requireSeveral([...texts, Buffer.from(" LOAD DATA LOCAL INFILE 'a' INTO TABLE t")], true, guard), {
    code: 'SW-GATE-037',
  })
})
