// The embedding map.
