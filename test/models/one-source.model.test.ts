import { test } from 'node:test'
import { runOneSource } from './one-source.model.ts'
import { assertEachRight } from './seeds.ts'

test('1.2–1.5: a target with one source holds, whenever it stands between rounds, the source’s rows at X, whatever goes in parts, lands late, is thrown away, or dies', () =>
  assertEachRight(runOneSource, 60))
