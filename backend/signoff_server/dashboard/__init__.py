"""The reviewer's dashboard: pages over the same services as the API. It decides nothing by itself."""
