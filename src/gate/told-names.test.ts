import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toldInKeyspace } from './told-names.ts'
import type { ShardView } from './view.ts'

const told = toldInKeyspace({ keyspace: 'shop@replica', schema: 'shop_80' } as ShardView)
const say = (code: number, text: string): string => told?.(code, Buffer.from(text))?.toString() ?? text

test('a shard whose schema is called as its keyspace says what its server says', () => {
  assert.equal(toldInKeyspace({ keyspace: 'app@replica', schema: 'app' } as ShardView), null)
})

test('a text of names has the keyspace in it, and nothing else of it changes', () => {
  for (const [code, text, expected] of [
    [1055, "Expression #1 … column 'shop_80.t.n' which", "Expression #1 … column 'shop.t.n' which"],
    [4025, 'CONSTRAINT `c` failed for `shop_80`.`t`', 'CONSTRAINT `c` failed for `shop`.`t`'],
    [1452, 'fails (`shop_80`.`c`, … REFERENCES `shop_80`.`ä` (`id`))', 'fails (`shop`.`c`, … REFERENCES `shop`.`ä` (`id`))'],
    [1305, 'FUNCTION shop_80.f does not exist', 'FUNCTION shop.f does not exist'],
    [1366, "Incorrect value: 'ä' for column `shop_80`.`t`.`n` at row 1", "Incorrect value: 'ä' for column `shop`.`t`.`n` at row 1"],
    [1003, 'select `shop_80`.`t`.`id` from `shop_80`.`t`', 'select `shop`.`t`.`id` from `shop`.`t`'],
    [1146, "Table 'shop_800.t' doesn't exist", "Table 'shop_800.t' doesn't exist"],
    [1451, '(`shop_80_`.`t`, CONSTRAINT `x``shop_80``.``y`)', '(`shop_80_`.`t`, CONSTRAINT `x``shop_80``.``y`)'],
  ] as const)
    assert.equal(say(code, text), expected)
})

test("a user's value that looks like a name stays as it is", () => {
  const value = "' for column `shop_80`.`t`.`n` at row 1"
  for (const text of [`Duplicate entry '\`shop_80\`.\`t\`' for key 't.PRIMARY'`, "Duplicate entry 'shop_80.t' for key 'PRIMARY'"])
    assert.equal(say(1062, text), text)
  assert.equal(say(1644, "Table 'shop_80.t' is mine"), "Table 'shop_80.t' is mine")
  assert.equal(
    say(1366, `Incorrect integer value: '${value}' for column \`shop_80\`.\`t\`.\`n\` at row 1`),
    `Incorrect integer value: '${value}' for column \`shop\`.\`t\`.\`n\` at row 1`,
  )
  // MySQL names the column alone.
  assert.equal(
    say(1366, `Incorrect integer value: '${value}' for column 'n' at row 1`),
    `Incorrect integer value: '${value}' for column 'n' at row 1`,
  )
  assert.equal(say(1292, "Truncated incorrect DOUBLE value: '`shop_80`.`t`.`n`'"), "Truncated incorrect DOUBLE value: '`shop_80`.`t`.`n`'")
  const statement = (schema: string): string => `select 'it''s \\'\`shop_80\`.\`t\`' AS "\`shop_80\`.\`t\`" from \`${schema}\`.\`t\``
  assert.equal(say(1003, statement('shop_80')), statement('shop'))
})
