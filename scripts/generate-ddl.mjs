// docs/ddl.md from the cells that src/move/ddl.db.test.ts runs. Run by Node 24 (type stripping).
//
//   node scripts/generate-ddl.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ddlPage } from '../src/move/testkit/ddl-page.ts'

const file = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs', 'ddl.md')
const page = ddlPage()
if (process.argv.includes('--check')) {
  let found = ''
  try {
    found = readFileSync(file, 'utf8')
  } catch {
    // Missing is stale.
  }
  if (found !== page) {
    console.error('docs/ddl.md is stale: node scripts/generate-ddl.mjs')
    process.exit(1)
  }
} else writeFileSync(file, page)
