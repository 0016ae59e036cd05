// docs/ddl.md from the cells that src/move/ddl.db.test.ts runs. Run by Node 24 (type stripping).
//
//   node scripts/generate-ddl.mjs [--check]
import { ddlPage } from '../src/move/testkit/ddl-page.ts'
import { generatedPage } from './generated-page.mjs'

generatedPage('ddl.md', ddlPage(), 'node scripts/generate-ddl.mjs')
