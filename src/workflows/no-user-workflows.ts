/** Stands in for the workflows of a worker that has none of its own. */
export {};
