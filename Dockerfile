FROM python:3.12-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY hub ./hub
COPY topics ./topics
RUN python -m venv /opt/hub && /opt/hub/bin/pip install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent hub \
    && install --directory --owner=hub --group=hub --mode=0700 /var/lib/hub
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HUB_HOST=0.0.0.0 \
    HUB_PORT=8080 \
    HUB_DATA_DIR=/var/lib/hub \
    HUB_LOG=json
USER hub
WORKDIR /var/lib/hub
# The only place that is written to; the rest of the file system may be read-only.
VOLUME /var/lib/hub
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['HUB_PORT']}/health/ready\", timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["hub"]
CMD ["serve"]
