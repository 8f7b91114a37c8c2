# syntax=docker/dockerfile:1
# The image of a Cadenza worker. `docker build .` makes it; `--target examples` adds the examples, which docker-compose.yml runs.
# docs/deploying.md says how your own agents get into it.

# The Node that the tests run on. Debian, because Temporal's native client needs glibc.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY scripts/bundle-workflows.mjs scripts/
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY scripts/optional-dependencies.mjs scripts/prune-dependencies.mjs scripts/
# An image has what a worker may be asked for: tools of MCP servers, traces. The lock file's versions, as everything here.
RUN npm install --no-save --omit=dev --no-audit --no-fund $(node scripts/optional-dependencies.mjs)
RUN node scripts/prune-dependencies.mjs
# Agents that come with a package.json of their own find Cadenza too, and the same one as the worker.
RUN ln -s .. node_modules/cadenza

FROM ${NODE_IMAGE} AS runtime
# The worker listens for the probes and for whoever reads its metrics; nothing else needs a port.
ENV NODE_ENV=production \
    CADENZA_HTTP_HOST=0.0.0.0 \
    CADENZA_HTTP_PORT=8080
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY --from=build /app/dist dist
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.CADENZA_HTTP_PORT}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

FROM runtime AS examples
# What the support desk's page and the report's index need, and a worker does not.
COPY --from=build /app/node_modules/hono node_modules/hono
COPY --from=build /app/node_modules/@hono node_modules/@hono
COPY --from=build /app/node_modules/minisearch node_modules/minisearch
COPY src src
COPY examples examples
USER root
RUN mkdir /data && chown node:node /data
USER node
# No shell and no npm between: the signal to stop reaches Node itself.
ENTRYPOINT ["node", "--conditions=cadenza-source"]
CMD ["examples/support-desk/worker-process.ts"]

FROM runtime AS worker
ENTRYPOINT ["node", "/app/dist/worker/main.js"]
