/**
 * Tests that mostly wait, on their servers and on the clock: the flavours beside each other in one process. Within a flavour they follow one another, unless said: those that
 * share nothing of its servers but what each has by a name of its own may be several at once.
 *
 *     besideEachOther('streams whose movers die', (flavour) => { test(`… on ${flavour}`, …) })
 */
import { describe } from 'node:test'
import type { LocalFlavour } from '../../src/local/installs.ts'
import { flavours } from './servers.ts'

export function besideEachOther(what: string, tests: (flavour: LocalFlavour) => void, atOnce = 1): void {
  describe(what, { concurrency: 2 }, () => {
    for (const flavour of flavours()) describe(`on ${flavour}`, { concurrency: atOnce }, () => tests(flavour))
  })
}
