import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { refuseOtherSpelling } from './variable-names.ts'

test('promise 10: names of variables that only one flavour tells apart', () => {
  const others = ['é', 'plain', 'straße', 'x']
  for (const name of ['e', 'è', 'strase', 'x ', 'plain  '])
    assert.throws(
      () => refuseOtherSpelling(name, others),
      (error) => isSwError(error, 'SW-GATE-100'),
      name,
    )
  for (const name of ['é', 'plain', 'x', 'y', 'strasse', 'plané', 'ж']) refuseOtherSpelling(name, others)
})
