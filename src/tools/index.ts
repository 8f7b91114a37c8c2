export { fetchTool, type FetchedPage, type FetchToolOptions } from './fetch-tool.ts';
export { fileTools, type FileToolsOptions, type FoundLine } from './file-tools.ts';
export { postgresTool, sqliteTool, type SqlRows, type SqlToolOptions } from './sql-tools.ts';
