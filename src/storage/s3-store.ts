import type * as AwsS3 from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import {
  checkKey,
  ObjectMissing,
  type ObjectOptions,
  type ObjectStore,
  type StoredObject,
} from './object-store.ts';
import { optionalPackage } from '../installation/optional-package.ts';

/** The argument of {@link S3Store}. */
export interface S3StoreOptions {
  bucket: string;
  /** What the keys in the bucket begin with, such as `cadenza/payloads`. Default: nothing. */
  prefix?: string;
  /** Default: as the AWS SDK finds it (`AWS_REGION`, profiles); at an `endpoint` of another service `us-east-1`. */
  region?: string;
  /** Of a service other than AWS: `http://minio.internal:9000`. Default: as the AWS SDK finds it (`AWS_ENDPOINT_URL_S3`). */
  endpoint?: string;
  /** Names the bucket in the path, as most services other than AWS want it. Default: where there is an `endpoint`. */
  pathStyle?: boolean;
  /** Default: as the AWS SDK finds them (environment, profiles, the machine's role). */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
}

type Sdk = typeof AwsS3;

/** A bucket of S3, or of a service that speaks its protocol. Needs the package `@aws-sdk/client-s3`. */
export class S3Store implements ObjectStore {
  readonly location: string;
  readonly type = 'cadenza.s3';
  private readonly options: S3StoreOptions;
  private readonly prefix: string;
  private loading: Promise<{ sdk: Sdk; client: S3Client }> | undefined;

  constructor(options: S3StoreOptions) {
    this.options = options;
    const prefix = options.prefix?.replaceAll(/^\/+|\/+$/g, '') ?? '';
    this.prefix = prefix === '' ? '' : `${prefix}/`;
    this.location = `s3://${options.bucket}/${this.prefix}`;
  }

  async ready(): Promise<void> {
    await this.load();
  }

  async put(key: string, data: Uint8Array, { signal }: ObjectOptions = {}): Promise<void> {
    const { sdk, client } = await this.load();
    await client.send(new sdk.PutObjectCommand({ ...this.object(key), Body: data }), abortable(signal));
  }

  async get(key: string, { signal }: ObjectOptions = {}): Promise<Uint8Array> {
    const { sdk, client } = await this.load();
    try {
      const { Body } = await client.send(new sdk.GetObjectCommand(this.object(key)), abortable(signal));
      if (!Body) throw new ObjectMissing(this.location, key);
      return await Body.transformToByteArray();
    } catch (thrown) {
      const { name } = thrown as Error;
      if (name === 'NoSuchKey' || name === 'NotFound') throw new ObjectMissing(this.location, key, thrown);
      throw thrown;
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredObject, void, undefined> {
    const { sdk, client } = await this.load();
    const { bucket: Bucket } = this.options;
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(
        new sdk.ListObjectsV2Command({
          Bucket,
          Prefix: `${this.prefix}${prefix}`,
          ...(ContinuationToken !== undefined && { ContinuationToken }),
        }),
      );
      for (const { Key, Size } of page.Contents ?? [])
        if (Key !== undefined) yield { key: Key.slice(this.prefix.length), bytes: Size ?? 0 };
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
  }

  async delete(key: string): Promise<void> {
    const { sdk, client } = await this.load();
    await client.send(new sdk.DeleteObjectCommand(this.object(key)));
  }

  private object(key: string): { Bucket: string; Key: string } {
    checkKey(key);
    return { Bucket: this.options.bucket, Key: `${this.prefix}${key}` };
  }

  private async load(): Promise<{ sdk: Sdk; client: S3Client }> {
    this.loading ??= this.connect();
    return await this.loading;
  }

  private async connect(): Promise<{ sdk: Sdk; client: S3Client }> {
    const sdk: Sdk = await optionalPackage(
      this.location,
      '@aws-sdk/client-s3',
      async () => await import('@aws-sdk/client-s3'),
    );
    const { region, endpoint, pathStyle = endpoint !== undefined, credentials } = this.options;
    const elsewhere = endpoint !== undefined;
    const known = region ?? (elsewhere ? (process.env['AWS_REGION'] ?? 'us-east-1') : undefined);
    const client = new sdk.S3Client({
      ...(known !== undefined && { region: known }),
      ...(elsewhere && { endpoint }),
      ...(credentials && { credentials }),
      forcePathStyle: pathStyle,
      // Services other than AWS refuse checksums that they do not know.
      ...(elsewhere && {
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
      }),
    });
    return { sdk, client };
  }
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal ? { abortSignal: signal } : {};
}
