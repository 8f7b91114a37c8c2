export { externalStorage, type StorageOptions } from './external-storage.ts';
export { openStore, type StoreLocation } from './open-store.ts';
export { FolderStore } from './folder-store.ts';
export { S3Store, type S3StoreOptions } from './s3-store.ts';
export { ObjectMissing, type ObjectOptions, type ObjectStore, type StoredObject } from './object-store.ts';
export type { ArchivedRun, ArchiveHeader } from './archive-document.ts';
