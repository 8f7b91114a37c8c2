declare module 'cadenza-user-workflows' {}
