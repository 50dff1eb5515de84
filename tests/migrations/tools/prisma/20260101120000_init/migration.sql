-- CreateTable
CREATE TABLE "app"."Badge" (
    "id" TEXT NOT NULL,
    "orgId" BIGINT NOT NULL,
    "label" TEXT NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "Badge_pkey" PRIMARY KEY ("orgId", "id")
);

-- CreateIndex
CREATE UNIQUE INDEX "Badge_orgId_label_key" ON "app"."Badge"("orgId", "label");
