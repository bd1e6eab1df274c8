const opts = { jwt: { clockTolerance: 0, leeway: 0 } };
